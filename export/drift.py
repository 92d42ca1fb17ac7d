"""Does a step of fewer bits run away from the float one? Measured over a long stream, each with states of its own."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from export.calibration import Arrays, Step

_LEAST_STEPS = 20
_ROUNDING = 1e-5  # of float32, added up: no drift


@dataclasses.dataclass(frozen=True)
class OutputDrift:
    """How far one output is from the float step's, as a share of that one's root mean square over the stream.

    Attributes:
        name: The output.
        steps: How many steps were compared.
        largest: The largest error of a step.
        mean: The mean error of a step.
        first: The mean over the first tenth of the stream.
        last: The mean over the last tenth.
        anew: The mean over the last tenth when both steps start there, from their first states: what its inputs alone
            are worth, without what has added up before.
        argmax_agreement: Share of the rows of all steps whose largest entry is the same.
    """

    name: str
    steps: int
    largest: float
    mean: float
    first: float
    last: float
    anew: float
    argmax_agreement: float

    @property
    def grows(self) -> bool:
        """Whether the error is still growing at the end: one that has settled ends near its mean.

        Where the inputs at the end are harder than those before, steps that start there are as far apart.
        """
        usual = max(1.25 * self.mean, 2 * self.first, 2 * self.anew, _ROUNDING)
        return self.last > usual or math.isinf(self.last)


@dataclasses.dataclass(frozen=True)
class DriftReport:
    """The drift of each output."""

    outputs: tuple[OutputDrift, ...]

    @property
    def bounded(self) -> bool:
        """Whether no output's error is still growing at the end."""
        return not any(output.grows for output in self.outputs)

    def __str__(self) -> str:
        return "\n".join(
            f"{out.name}: {out.mean:.2%} off on average over {out.steps} steps, {out.largest:.2%} at most, "
            f"{out.first:.2%} at the start, {out.last:.2%} at the end ({out.anew:.2%} there when started anew): "
            f"{'GROWING' if out.grows else 'bounded'}"
            for out in self.outputs
        )


def measure_drift(
    exact: Step, quantized: Step, sequence: Sequence[Arrays], states: Arrays, quantized_states: Arrays | None = None
) -> DriftReport:
    """Runs two steps side by side over a stream, each on its own states.

    Args:
        exact: The float step: (inputs, states) -> (outputs, states after).
        quantized: The step of fewer bits.
        sequence: The inputs of one step after another; 1,000 steps or more show whether errors add up.
        states: The states before the first step.
        quantized_states: Those of the quantized step, where they are other arrays (integers).

    Raises:
        ValueError: The stream is too short.
    """
    if len(sequence) < _LEAST_STEPS:
        raise ValueError(f"{len(sequence)} steps show no drift; give at least {_LEAST_STEPS}")
    before = states, states if quantized_states is None else quantized_states
    tenth = len(sequence) // 10
    whole = _side_by_side(exact, quantized, sequence, *before)
    end = _side_by_side(exact, quantized, sequence[-tenth:], *before)
    return DriftReport(tuple(_drift(name, *whole[name], *end[name]) for name in whole))


def _side_by_side(
    exact: Step, quantized: Step, sequence: Sequence[Arrays], ours: Arrays, theirs: Arrays
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """-> output -> (the float step's, the other's), (steps, ...) each."""
    wanted: dict[str, list[np.ndarray]] = {}
    got: dict[str, list[np.ndarray]] = {}
    for inputs in sequence:
        y, ours = exact(dict(inputs), ours)
        z, theirs = quantized(dict(inputs), theirs)
        for name, value in y.items():
            wanted.setdefault(name, []).append(np.array(value, np.float64))
            got.setdefault(name, []).append(np.array(z[name], np.float64))
    return {name: (np.stack(wanted[name]), np.stack(got[name])) for name in wanted}


def _drift(name: str, want: np.ndarray, have: np.ndarray, want_anew: np.ndarray, have_anew: np.ndarray) -> OutputDrift:
    steps, tenth = len(want), len(want_anew)
    size = float(np.sqrt(np.mean(want**2))) or 1.0
    error, anew = _errors(want, have) / size, _errors(want_anew, have_anew) / size
    same = np.mean(want.argmax(-1) == have.argmax(-1)) if want.shape[-1] > 1 else 1.0
    return OutputDrift(
        name=name,
        steps=steps,
        largest=float(error.max()),
        mean=float(error.mean()),
        first=float(error[:tenth].mean()),
        last=float(error[-tenth:].mean()),
        anew=float(anew.mean()),
        argmax_agreement=float(same),
    )


def _errors(want: np.ndarray, have: np.ndarray) -> np.ndarray:
    """The root mean square over each step."""
    error = np.sqrt(np.mean((have - want).reshape(len(want), -1) ** 2, axis=1))
    return np.where(np.isfinite(error), error, np.inf)
