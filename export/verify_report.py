"""What a verification found, and how one output is judged."""

import dataclasses
from typing import Any

import numpy as np

from export.drift import DriftReport
from export.errors import VerificationError
from export.float_parts import FloatPart
from export.formats import Tolerance


@dataclasses.dataclass
class OutputReport:
    """The worst of one output over all cases.

    Attributes:
        name: The output's name in the model.
        max_abs: Largest absolute difference.
        rmse: Largest root mean square difference of a case.
        cosine: Smallest cosine similarity of a case.
        argmax_agreement: Smallest share of a case's rows whose largest entry is the same; of integers, of equal ones.
        relative: Largest root mean square difference of a case, as a share of that of the model's values.
        tolerance: What was allowed: |difference| <= atol + rtol * the row's largest |value|; or its `relative`.
        passed: Whether every case stayed within it.
        compared: How many rows were compared; those in which the model itself is not finite are left out.
    """

    name: str
    tolerance: Tolerance
    max_abs: float = 0.0
    rmse: float = 0.0
    cosine: float = 1.0
    argmax_agreement: float = 1.0
    relative: float = 0.0
    passed: bool = True
    compared: int = 0


@dataclasses.dataclass
class VerifyReport:
    """What a verification found.

    Attributes:
        artifact: The artifact's path.
        format: Its format.
        precision: Its precision, as it says itself.
        outputs: One report for each output.
        cases: The cases that were compared.
        skipped: The cases that the model itself refuses, and what it says: two sequences of different lengths, say.
        undecided: How many rows of a case were left out, because their whole numbers (tokens, labels) differ where they
            are one of two equal choices: in the model itself they change when its weights move by some roundings.
        unstable: Case -> how far the model's own values move when its inputs and weights move by one rounding, or what
            its layers give, where the artifact's are off by more than the tolerance, and by no more than that explains:
            a model whose states are chaos, or one that asks for the sign of what is all but 0, say.
        ops: How often the artifact holds each op.
        metrics: The task's own metrics, of the Keras model and of the artifact, where an `evaluate` was given.
        left_in_float: Of an artifact of fewer bits, what still computes or is stored in float32.
        drift: Of a step of fewer bits, how far it gets from the float step over 1,000 steps.
        arena_bytes: Of a file for microcontrollers, the memory that it needs beside its own bytes, as measured in the
            micro runtime; None where that is not installed.
        misses: Everything that is wrong, one line each; empty where the artifact passed.
    """

    artifact: str
    format: str
    precision: str = "float32"
    outputs: list[OutputReport] = dataclasses.field(default_factory=list)
    cases: list[str] = dataclasses.field(default_factory=list)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    undecided: dict[str, int] = dataclasses.field(default_factory=dict)
    unstable: dict[str, float] = dataclasses.field(default_factory=dict)
    ops: dict[str, int] = dataclasses.field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    left_in_float: list[FloatPart] = dataclasses.field(default_factory=list)
    drift: DriftReport | None = None
    arena_bytes: int | None = None
    misses: list[str] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.misses

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; not a number becomes null."""
        plain: dict[str, Any] = _finite({**dataclasses.asdict(self), "passed": self.passed})
        plain["drift"] = self.drift_json()
        return plain

    def drift_json(self) -> dict[str, Any] | None:
        """The drift as plain JSON values."""
        if self.drift is None:
            return None
        return {"bounded": self.drift.bounded, "outputs": _finite([vars(output) for output in self.drift.outputs])}

    def __str__(self) -> str:
        head = ("output", "max abs", "rmse", "relative", "cosine", "argmax", "atol", "rtol", "")
        rows = [
            (
                out.name,
                f"{out.max_abs:.1e}",
                f"{out.rmse:.1e}",
                f"{out.relative:.1e}",
                f"{out.cosine:.6f}",
                f"{out.argmax_agreement:.3f}",
                f"{out.tolerance.atol:.0e}",
                f"{out.tolerance.rtol if out.tolerance.relative is None else out.tolerance.relative:.0e}",
                "pass" if out.passed else "FAIL",
            )
            for out in self.outputs
        ]
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        verdict = "passed" if self.passed else "FAILED"
        lines = [f"{self.artifact} ({self.format}, {self.precision}): {verdict}, {len(self.cases)} cases"]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [head, *rows]
        ]
        for name, value in self.metrics.get("keras", {}).items():
            lines.append(f"{name}: {value:.6g}, in the artifact {self.metrics['artifact'].get(name, float('nan')):.6g}")
        if self.left_in_float:
            lines.append(f"left in float32: {', '.join(map(str, self.left_in_float))}")
        if self.undecided:
            left_out = ", ".join(f"{count} of {case}" for case, count in self.undecided.items())
            lines.append(f"rows that rounding decides, left out: {left_out}")
        if self.unstable:
            moves = ", ".join(f"{case} ({distance:.2g})" for case, distance in self.unstable.items())
            lines.append(f"one rounding of inputs and weights moves the model's own values too far to compare: {moves}")
        if self.arena_bytes is not None:
            lines.append(f"arena: {self.arena_bytes} bytes in the micro runtime")
        if self.drift is not None:
            lines += [f"drift of {line}" for line in str(self.drift).splitlines()]
        return "\n".join(lines + [f"miss: {miss}" for miss in self.misses])

    def raise_for_failure(self) -> None:
        """Does nothing where the artifact passed.

        Raises:
            VerificationError: Something is wrong; says how much, and the first of it.
        """
        if self.misses:
            more = f" (and {len(self.misses) - 1} more)" if len(self.misses) > 1 else ""
            text = f"{self.artifact} does not do what the model does: {self.misses[0]}{more}"
            if self.misses[0].endswith("are allowed") and self.precision != "float32":
                less = "float32 loses nothing" if self.precision == "float16" else "float16 loses less"
                text += f"; {less}, max_metric_drop=None takes any loss"
            raise VerificationError(text, self)


# How many roundings of an ill-conditioned model an artifact may add up: it computes in another order.
ROUNDINGS = 10.0


def compare_output(
    output: OutputReport, expected: np.ndarray, got: np.ndarray, rounding: np.ndarray | None = None
) -> str:
    """Updates the output's report; says what is wrong, or nothing.

    Args:
        output: The report.
        expected: The model's values.
        got: The artifact's.
        rounding: How far the model's values move when its inputs and weights move by one rounding, where asked.
    """
    if got.shape != expected.shape:
        return f"shape {got.shape}, the model's {expected.shape}"
    if got.dtype != expected.dtype:
        return f"dtype {got.dtype}, the model's {expected.dtype}"
    if expected.dtype.kind not in "fc":
        return _compare_integers(output, expected, got)
    spread = np.zeros_like(expected) if rounding is None else rounding
    want, have, spread = _finite_rows(*without_forbidden(expected, got), spread.astype(np.float64))
    if not want.size:
        return ""
    output.compared += len(want)
    if not np.isfinite(have).all():
        output.max_abs = float("nan")
        return f"{int(np.sum(~np.isfinite(have)))} of {have.size} values are not finite"
    difference = np.abs(have - want)
    output.max_abs = max(output.max_abs, float(difference.max(initial=0.0)))
    output.rmse = max(output.rmse, float(np.sqrt(np.mean(difference**2))))
    output.cosine = min(output.cosine, _cosine(want, have))
    output.argmax_agreement = min(output.argmax_agreement, _argmax_agreement(want, have))
    size, error = float(np.sqrt(np.mean(want**2))), float(np.sqrt(np.mean(difference**2)))
    output.relative = max(output.relative, error / size if size else error)
    largest = np.abs(want).reshape(len(want), -1).max(axis=1).reshape(-1, *[1] * (want.ndim - 1))
    moved = np.nan_to_num(spread).reshape(len(want), -1).max(axis=1).reshape(largest.shape)
    if output.tolerance.relative is not None:
        allowed_error = output.tolerance.atol + output.tolerance.relative * size + ROUNDINGS * float(moved.mean())
        return "" if error <= allowed_error else _off(error, size, output.tolerance.relative)
    allowed = output.tolerance.atol + output.tolerance.rtol * largest + ROUNDINGS * moved
    beyond = int(np.sum(difference > allowed))
    if not beyond:
        return ""
    worst = float(difference.max())
    return f"{beyond} of {want.size} values differ by more than atol + rtol * |row|, at most by {worst:.2g}"


def _off(error: float, size: float, allowed: float) -> str:
    share = f"{error / size:.1%} off" if size else f"{error:.2g} off, where the model gives zeros"
    return f"{share}; {allowed:.0%} are allowed"


def _compare_integers(output: OutputReport, expected: np.ndarray, got: np.ndarray) -> str:
    output.compared += len(expected) if expected.ndim else 1
    wrong = int(np.sum(got != expected))
    output.argmax_agreement = min(output.argmax_agreement, 1 - wrong / expected.size if expected.size else 1.0)
    allowed = (output.tolerance.relative or 0.0) * expected.size  # fewer bits may turn a close decision
    within = wrong <= allowed or np.isinf(output.tolerance.atol)  # or any values are taken
    return "" if within else f"{wrong} of {expected.size} values differ"


def without_forbidden(want: np.ndarray, have: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In float64, with 0 for the places of the last axis that are -inf in every row: of tokens never to be said."""
    want, have = want.astype(np.float64), have.astype(np.float64)
    if want.ndim < 2:
        return want, have
    # LiteRT's kernels give the lowest number.
    lowest = np.isneginf(want) & (have <= np.finfo(np.float32).min)
    forbidden = lowest.all(axis=tuple(range(want.ndim - 1)))
    return np.where(forbidden, 0.0, want), np.where(forbidden, 0.0, have)


def _finite_rows(want: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """The rows in which the model itself is finite: the mean over an empty row is 0 / 0 in Keras too."""
    arrays = [array if want.ndim else array[None] for array in (want, *others)]
    finite = np.isfinite(arrays[0]).reshape(len(arrays[0]), -1).all(axis=1)
    return [array[finite] for array in arrays]


def _cosine(want: np.ndarray, have: np.ndarray) -> float:
    norms = float(np.linalg.norm(want) * np.linalg.norm(have))
    if norms == 0.0:
        return 1.0 if np.array_equal(want, have) else 0.0
    return float(np.sum(want * have)) / norms


def _argmax_agreement(want: np.ndarray, have: np.ndarray) -> float:
    if want.ndim < 2 or want.shape[-1] < 2:
        return 1.0
    return float(np.mean(want.argmax(-1) == have.argmax(-1)))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
