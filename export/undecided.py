"""Whole numbers that rounding decides: the likeliest of two tokens whose scores are equal but for the last bits.

An artifact adds up in another order than Keras, so it may choose the other one, and all that it writes after it is
another text. Neither is wrong. Whether a row is such a row only the model can tell: one whose whole numbers change when
its weights move by some roundings.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.cases import Arrays, Case
from export.reference import Reference

# Relative: some hundred roundings of float32, a seventh of what a number may be off. About every other try turns a
# choice between scores that are nearer to each other than this; those that are a thousandth apart stay.
_MOVE = 3e-5
_TRIES = 16
_EAGER_TRIES = 8  # each may take a second
FLOAT32_EPS = float(np.finfo(np.float32).eps)


class Undecided:
    """Finds the rows that can't be compared.

    Args:
        model: The model; its weights are moved, and put back.
        reference: Calls it.
    """

    def __init__(self, model: keras.Model, reference: Reference) -> None:
        self._model = model
        self._reference = reference
        self._found: dict[str, np.ndarray] = {}  # case -> (batch,) bool

    def rows_to_compare(self, case: Case, expected: Arrays, got: Arrays) -> np.ndarray | None:
        """Leaves out the rows that differ in whole numbers where rounding decides them.

        Args:
            case: The inputs.
            expected: The model's outputs.
            got: The artifact's, by the same names.

        Returns:
            (batch,) bool; None: all rows.
        """
        names = [name for name, y in expected.items() if y.dtype.kind not in "fc"]
        sizes = {y.shape[0] if y.ndim else None for y in expected.values()}
        if not names or len(sizes) > 1 or None in sizes or any(got[n].shape != y.shape for n, y in expected.items()):
            return None
        differing = _differing(names, expected, got)
        if not differing.any():
            return None
        if case.name not in self._found:
            self._found[case.name] = self._moving(names, case.inputs, expected)
            if case.harsh and (differing & ~self._found[case.name]).any():
                self._found[case.name] |= self._moving_eagerly(names, case.inputs, expected)
        kept = ~(differing & self._found[case.name])
        return None if kept.all() else kept

    def _moving(self, names: list[str], inputs: Arrays, expected: Arrays) -> np.ndarray:
        rng, found = np.random.default_rng(0), np.zeros(len(expected[names[0]]), bool)
        for _ in range(_TRIES):
            with moved_weights(self._model, rng, _MOVE):
                found |= _differing(names, expected, self._reference(inputs))
        return found

    def _moving_eagerly(self, names: list[str], inputs: Arrays, expected: Arrays) -> np.ndarray:
        rng, found = np.random.default_rng(0), np.zeros(len(expected[names[0]]), bool)
        for _ in range(_EAGER_TRIES):
            with moved_outputs(self._model, rng, FLOAT32_EPS):
                found |= _differing(names, expected, self._reference.eagerly(inputs))
        return found


def _differing(names: list[str], expected: Arrays, got: Arrays) -> np.ndarray:
    if any(expected[name].shape != got[name].shape for name in names):  # as many as the values say
        return np.ones(len(expected[names[0]]), bool)
    rows = [(expected[name] != got[name]).reshape(len(expected[name]), -1).any(axis=1) for name in names]
    return np.asarray(np.any(rows, axis=0))


@contextlib.contextmanager
def moved_weights(model: keras.Model, rng: np.random.Generator, share: float) -> Iterator[None]:
    """Inside, each weight of the model is larger or smaller by a share of itself; afterwards it is as it was."""
    variables = [v for v in model.variables if keras.backend.is_float_dtype(v.dtype)]
    before = [v.numpy() for v in variables]
    try:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value * (1 + share * rng.choice([-1.0, 1.0], value.shape)).astype(value.dtype))
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


@contextlib.contextmanager
def moved_outputs(model: keras.Model, rng: np.random.Generator, share: float) -> Iterator[None]:
    """Inside, what each layer with an activation gives is larger or smaller by a share of its largest number.

    As good as a runtime's kernels are: onnxruntime's sigmoid of -40 is 1.5e-8, and Keras's 4e-18. Whoever asks for the
    sign of such a number, or for the largest of several, gets what rounding decides.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.RNN) or (hasattr(layer, "activation") and not hasattr(layer, "state_size"))
    ]

    def moved(y: Any) -> Any:
        if not tf.is_tensor(y) or not y.dtype.is_floating or not y.shape.is_fully_defined():
            return y
        return y + share * tf.reduce_max(tf.abs(y)) * tf.constant(rng.choice([-1.0, 1.0], y.shape), y.dtype)

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: keras.tree.map_structure(moved, call(*args, **kwargs))

    before = [layer.__dict__.get("call") for layer in layers]
    try:
        for layer in layers:
            object.__setattr__(layer, "call", wrapped(layer.call))
        yield
    finally:
        for layer, call in zip(layers, before, strict=True):
            if call is None:
                object.__delattr__(layer, "call")
            else:
                object.__setattr__(layer, "call", call)
