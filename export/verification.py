"""Does the file do what the model does? Names, dtypes, shapes, values, state that leaks, ops that do not belong.

The Keras model is the judge, on inputs that nobody has seen; every miss is collected and named.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export import graph
from export.cases import Arrays, Case, make_cases
from export.domains import input_domains
from export.errors import ArtifactError, ExportError, VerificationError, first_line
from export.formats import Tolerance, format_of
from export.loops import LoopEngine, collect_in_array
from export.lowering import Lowering
from export.ports import AUTOMATIC_NAME, Port, identifiers
from export.reference import Reference
from export.runtimes import Runtime, load_runtime
from export.trace import Traced, trace

Evaluate = Callable[[Callable[[Mapping[str, Any]], Arrays]], Mapping[str, float]]


@dataclasses.dataclass
class OutputReport:
    """The worst of one output over all cases.

    Attributes:
        name: The output's name in the model.
        max_abs: Largest absolute difference.
        rmse: Largest root mean square difference of a case.
        cosine: Smallest cosine similarity of a case.
        argmax_agreement: Smallest share of a case's rows whose largest entry is the same.
        tolerance: What was allowed: |difference| <= atol + rtol * the row's largest |value|.
        passed: Whether every case stayed within it.
    """

    name: str
    tolerance: Tolerance
    max_abs: float = 0.0
    rmse: float = 0.0
    cosine: float = 1.0
    argmax_agreement: float = 1.0
    passed: bool = True


@dataclasses.dataclass
class VerifyReport:
    """What a verification found.

    Attributes:
        artifact: The artifact's path.
        format: Its format.
        outputs: One report for each output.
        cases: The cases that were compared.
        ops: How often the artifact holds each op.
        metrics: The task's own metrics, of the Keras model and of the artifact, where an `evaluate` was given.
        misses: Everything that is wrong, one line each; empty where the artifact passed.
    """

    artifact: str
    format: str
    outputs: list[OutputReport] = dataclasses.field(default_factory=list)
    cases: list[str] = dataclasses.field(default_factory=list)
    ops: dict[str, int] = dataclasses.field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    misses: list[str] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.misses

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; not a number becomes null."""
        plain: dict[str, Any] = _finite({**dataclasses.asdict(self), "passed": self.passed})
        return plain

    def __str__(self) -> str:
        head = ("output", "max abs", "rmse", "cosine", "argmax", "atol", "rtol", "")
        rows = [
            (
                out.name,
                f"{out.max_abs:.1e}",
                f"{out.rmse:.1e}",
                f"{out.cosine:.6f}",
                f"{out.argmax_agreement:.3f}",
                f"{out.tolerance.atol:.0e}",
                f"{out.tolerance.rtol:.0e}",
                "pass" if out.passed else "FAIL",
            )
            for out in self.outputs
        ]
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        lines = [f"{self.artifact} ({self.format}): {'passed' if self.passed else 'FAILED'}, {len(self.cases)} cases"]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [head, *rows]
        ]
        return "\n".join(lines + [f"miss: {miss}" for miss in self.misses])

    def raise_for_failure(self) -> None:
        """Does nothing where the artifact passed.

        Raises:
            VerificationError: Something is wrong; says how much, and the first of it.
        """
        if self.misses:
            more = f" (and {len(self.misses) - 1} more)" if len(self.misses) > 1 else ""
            raise VerificationError(f"{self.artifact} does not do what the model does: {self.misses[0]}{more}", self)


def verify(
    model: keras.Model,
    artifact: Any,
    *,
    batch: Sequence[int] = (1, 2, 5),
    time: Sequence[int] | None = None,
    seed: int = 0,
    tolerance: Tolerance | None = None,
    require_native: bool = False,
    evaluate: Evaluate | None = None,
    input_signature: Any = None,
) -> VerifyReport:
    """Compares an artifact with its Keras model on random inputs that neither has seen.

    Args:
        model: The Keras model.
        artifact: An `Artifact`, or the path of one.
        batch: Batch sizes to try.
        time: Lengths to try where the time axis is dynamic.
        seed: Of the random inputs.
        tolerance: Instead of the format's own.
        require_native: Loops count as misses too.
        evaluate: Computes the task's metrics from a callable that maps input arrays to output arrays.
        input_signature: For a model whose inputs Keras does not know, as in `export_model`.

    Raises:
        ArtifactError: The artifact cannot be read.
        ExportError: The model cannot be called.
    """
    path = Path(getattr(artifact, "path", artifact))
    load_runtime(path)  # an unreadable file is said before the model is traced
    traced = trace(model, Lowering(LoopEngine(collect_in_array)), input_signature)
    grid = {"batch": tuple(batch), "seed": seed, **({"time": tuple(time)} if time else {})}
    return compare(traced, path, tolerance=tolerance, require_native=require_native, evaluate=evaluate, **grid)


def compare(
    traced: Traced,
    path: Path,
    *,
    tolerance: Tolerance | None = None,
    require_native: bool = False,
    evaluate: Evaluate | None = None,
    **grid: Any,
) -> VerifyReport:
    """`verify` for a model that was traced already; `grid` goes to `cases.make_cases`."""
    fmt = format_of(path)
    runtime = load_runtime(path)
    comparison = _Comparison(traced, runtime, VerifyReport(str(path), fmt.name), tolerance or fmt.tolerance["float32"])
    comparison.structure(path, require_native)
    if comparison.interface():
        comparison.values(**grid)
        if evaluate is not None:
            comparison.metrics(evaluate)
    return comparison.report


class _Comparison:
    def __init__(self, traced: Traced, runtime: Runtime, report: VerifyReport, tolerance: Tolerance) -> None:
        self.traced = traced
        self.reference = Reference(traced.model, traced.signature)
        self.runtime = runtime
        self.report = report
        self.tolerance = tolerance
        self._input_of: dict[str, str] = {}  # the model's name -> the artifact's
        self._output_of: dict[str, str] = {}

    def _miss(self, text: str) -> None:
        if text not in self.report.misses:
            self.report.misses.append(text)

    def structure(self, path: Path, require_native: bool) -> None:
        """Counts the ops; a plain runtime must have them all."""
        self.report.ops = graph.op_histogram(path)
        for op, count in graph.foreign(self.report.ops).items():
            self._miss(f"holds {count} x {op}, which the plain runtime lacks")
        if require_native and self.report.format != "saved_model":
            for op, count in graph.loops(self.report.ops).items():
                self._miss(f"holds {count} x {op} where a native op was required")

    def interface(self) -> bool:
        """Matches the artifact's inputs and outputs with the model's, by name; false where values can't be compared."""
        misses = len(self.report.misses)
        self._input_of = self._match("input", self.traced.signature.inputs, self.runtime.inputs)
        self._output_of = self._match("output", self.traced.outputs, self.runtime.outputs)
        return len(self.report.misses) == misses

    def _match(self, kind: str, wanted: Sequence[Port], found: Sequence[Port]) -> dict[str, str]:
        if len(wanted) != len(found):
            self._miss(f"{len(found)} {kind}s ({_list(found)}), the model has {len(wanted)} ({_list(wanted)})")
            return {}
        names = {port.name: port for port in found}
        as_written = {}
        for index, (port, identifier) in enumerate(zip(wanted, identifiers([p.name for p in wanted]), strict=True)):
            candidates = [port.name, f"{port.name}_out", identifier]
            match = next((names[name] for name in candidates if name in names), None)
            if match is None and AUTOMATIC_NAME.match(port.name) and AUTOMATIC_NAME.match(found[index].name):
                match = found[index]  # both names were made up by Keras, at different times
            if match is None:
                self._miss(f"{kind} {port.name!r} is missing; there are {_list(found)}")
                continue
            if match.dtype != port.dtype:
                self._miss(f"{kind} {port.name!r} has dtype {match.dtype}, the model's {port.dtype}")
            as_written[port.name] = match.name
        return as_written

    def values(self, **grid: Any) -> None:
        """Runs every case twice through the artifact, and compares."""
        domains = input_domains(self.traced.function, self.traced.arguments)
        self.report.outputs = [OutputReport(port.name, self.tolerance) for port in self.traced.outputs]
        for case in make_cases(self.traced.signature.inputs, domains, **grid):
            expected = self._reference(case)
            if expected is None:
                continue
            self.report.cases.append(case.name)
            for repetition in ("", ", run again (state leaks)"):
                self._compare(case.name + repetition, case, expected)
        if not self.report.cases:
            raise ExportError(f"model {self.traced.model.name!r} refused every input that was tried")

    def _reference(self, case: Case) -> Arrays | None:
        """What the model says; None where it refuses the case or its numbers overflow."""
        try:
            expected = self.reference(case.inputs)
        except Exception as error:  # a model may raise anything on inputs that it does not take
            if case.optional:
                return None
            raise ExportError(f"model {self.traced.model.name!r} failed on {case.name}: {first_line(error)}") from error
        finite = all(np.isfinite(y).all() for y in expected.values() if y.dtype.kind == "f")
        return expected if finite or not case.optional else None

    def _compare(self, where: str, case: Case, expected: Arrays) -> None:
        try:
            got = self.runtime({self._input_of[name]: array for name, array in case.inputs.items()})
        except ArtifactError as error:
            self._miss(f"{where}: {error}")
            return
        for output in self.report.outputs:
            problem = _compare_output(output, expected[output.name], got[self._output_of[output.name]])
            if problem:
                output.passed = False
                self._miss(f"output {output.name!r}, {where}: {problem}")

    def metrics(self, evaluate: Evaluate) -> None:
        """The task's metrics, of both; the report carries them, the caller judges."""
        inverse = {theirs: ours for ours, theirs in self._output_of.items()}

        def artifact(inputs: Mapping[str, Any]) -> Arrays:
            got = self.runtime({self._input_of[name]: array for name, array in inputs.items()})
            return {inverse[name]: y for name, y in got.items()}

        self.report.metrics = {"keras": dict(evaluate(self.reference)), "artifact": dict(evaluate(artifact))}


def _list(ports: Sequence[Port]) -> str:
    return ", ".join(repr(port.name) for port in ports)


def _compare_output(output: OutputReport, expected: np.ndarray, got: np.ndarray) -> str:
    """Updates the output's report; says what is wrong, or nothing."""
    if got.shape != expected.shape:
        return f"shape {got.shape}, the model's {expected.shape}"
    if got.dtype != expected.dtype:
        return f"dtype {got.dtype}, the model's {expected.dtype}"
    if expected.dtype.kind not in "fc":
        wrong = int(np.sum(got != expected))
        return f"{wrong} of {expected.size} values differ" if wrong else ""
    want, have = expected.astype(np.float64), got.astype(np.float64)
    if not np.isfinite(have).all():
        output.max_abs = float("nan")
        return f"{int(np.sum(~np.isfinite(have)))} of {have.size} values are not finite"
    if not np.isfinite(want).all():
        return "the model itself gives values that are not finite"
    difference = np.abs(have - want)
    output.max_abs = max(output.max_abs, float(difference.max(initial=0.0)))
    output.rmse = max(output.rmse, float(np.sqrt(np.mean(difference**2))))
    output.cosine = min(output.cosine, _cosine(want, have))
    output.argmax_agreement = min(output.argmax_agreement, _argmax_agreement(want, have))
    rows = want.reshape(want.shape[0], -1) if want.ndim else want.reshape(1, 1)
    largest = np.abs(rows).max(axis=1, initial=0.0).reshape(-1, *[1] * (want.ndim - 1)) if want.ndim else np.abs(want)
    allowed = output.tolerance.atol + output.tolerance.rtol * largest
    beyond = int(np.sum(difference > allowed))
    if not beyond:
        return ""
    worst = float(difference.max())
    return f"{beyond} of {want.size} values differ by more than atol + rtol * |row|, at most by {worst:.2g}"


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
