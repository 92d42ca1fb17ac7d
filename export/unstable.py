"""Values that rounding moves too far to compare: those of a model whose states explode, or are chaos.

An artifact adds up in another order than Keras. Most models keep the difference as small as it is; one that amplifies
it from step to step agrees with no other computation of itself after some hundred steps, whatever the artifact does.
"""

import keras
import numpy as np

from export.cases import Arrays, Case
from export.formats import Tolerance
from export.reference import Reference
from export.undecided import FLOAT32_EPS, moved_outputs, moved_weights
from export.verify_report import ROUNDINGS, OutputReport, compare_output

_TRIES = 8  # in each of which rounding goes another way


class Unstable:
    """Knows how far a model's values move by themselves.

    Args:
        model: The model; its weights are moved, and put back.
        reference: Calls it.
        usual: What values may differ where nobody asks for less: no model stands still altogether.
    """

    def __init__(self, model: keras.Model, reference: Reference, usual: Tolerance) -> None:
        self._model = model
        self._reference = reference
        self._usual = usual
        self._found: dict[str, Arrays] = {}  # case -> how far one rounding moves the outputs
        self._layers: set[str] = set()  # the cases in which roundings of layers' outputs were tried too

    def explains(
        self, judge: OutputReport, case: Case, expected: Arrays, got: np.ndarray, kept: np.ndarray | None
    ) -> float:
        """Asks whether values that are too far apart are no further apart than rounding moves the model's own.

        Args:
            judge: Of the output, by its tolerance.
            case: The inputs.
            expected: The model's outputs.
            got: The artifact's values of the judged output, of the rows that are kept.
            kept: Which rows those are; None: all.

        Returns:
            How far one rounding moves the model's own values; 0 if that does not explain it.
        """
        if case.name not in self._found:
            self._found[case.name] = self._moved(case, expected)
        if moved := self._explained(judge, case, expected, got, kept):
            return moved
        if not case.harsh:  # only there do gates close so far that a kernel's own precision shows
            return 0.0
        if case.name not in self._layers:
            self._layers.add(case.name)
            self._found[case.name] = self._moved_in_layers(case, expected, self._found[case.name])
        return self._explained(judge, case, expected, got, kept)

    def _explained(
        self, judge: OutputReport, case: Case, expected: Arrays, got: np.ndarray, kept: np.ndarray | None
    ) -> float:
        if judge.name not in self._found[case.name]:
            return 0.0
        values = expected[judge.name], self._found[case.name][judge.name]
        want, moved = values if kept is None else (value[kept] for value in values)
        if compare_output(OutputReport(judge.name, judge.tolerance), want, got, moved):
            return 0.0
        if not compare_output(OutputReport(judge.name, self._usual), want, want + ROUNDINGS * moved):
            return 0.0
        return float(np.max(moved, where=np.isfinite(moved), initial=0.0))

    def _moved(self, case: Case, expected: Arrays) -> Arrays:
        """How far the model's outputs move when its inputs and its weights move by one rounding."""
        inputs = {
            name: np.nextafter(array, np.inf, dtype=array.dtype) if array.dtype.kind == "f" else array
            for name, array in case.inputs.items()
        }
        rng = np.random.default_rng(0)
        most = {name: np.zeros_like(y) for name, y in expected.items() if y.dtype.kind == "f"}
        for _ in range(_TRIES):
            with moved_weights(self._model, rng, FLOAT32_EPS):
                most = _further(most, self._reference(inputs), expected)
        return most

    def _moved_in_layers(self, case: Case, expected: Arrays, most: Arrays) -> Arrays:
        """The same when each layer's outputs move by one rounding of the largest of them."""
        rng = np.random.default_rng(0)
        for _ in range(_TRIES):
            with moved_outputs(self._model, rng, FLOAT32_EPS):
                most = _further(most, self._reference.eagerly(case.inputs), expected)
        return most


def _further(most: Arrays, nearby: Arrays, expected: Arrays) -> Arrays:
    same = {
        name for name in most if nearby[name].shape == expected[name].shape
    }  # some have as many rows as the values say
    with np.errstate(invalid="ignore"):  # infinities have no difference
        return {name: np.fmax(most[name], np.abs(nearby[name] - expected[name])) for name in same}
