"""A model as the function that an artifact holds: no state between calls, no training, float32 throughout."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras.src.ops.core import Cast

from export.ports import HALF


@contextlib.contextmanager
def inference_form(model: keras.Model) -> Iterator[None]:
    """Inside, the model is the function that an artifact holds; afterwards it is as it was.

    Stateful layers start each call from zeros (an artifact keeps no state between calls), and layers that compute in
    half precision compute in float32 (the runtimes' CPU kernels do), of inputs that are not rounded to half before.
    """
    layers = model._flatten_layers()
    changes: list[tuple[Any, str, Any]] = [(x, "stateful", False) for x in layers if getattr(x, "stateful", False)]
    changes += [(x, "_dtype_policy", keras.DTypePolicy("float32")) for x in layers if x.compute_dtype in HALF]
    changes += [change for layer in layers for change in _casts_to_half(layer)]
    changes += [change for variable in model.variables if variable.dtype in HALF for change in _widened(variable)]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    try:
        for change in changes:
            setattr(*change)
        yield
    finally:
        for original in originals:
            setattr(*original)


def _widened(variable: Any) -> list[tuple[Any, str, Any]]:
    """A copy in float32: cast at each use, it would meet ops that LiteRT has in float32 only."""
    value = tf.cast(variable.value, "float32")
    if tf.executing_eagerly():  # within a function, where none can be made, the copy is the function's own
        value = tf.Variable(value, trainable=variable.trainable, name=variable.name)
    return [(variable, "_value", value), (variable, "_dtype", "float32")]


def _casts_to_half(layer: Any) -> Iterator[tuple[Any, str, str]]:
    """Where a model made in mixed precision keeps what its layers' policies were: a Sequential's input, each cast."""
    graph = getattr(layer, "_functional", None) or layer
    for typed in [layer] if isinstance(layer, keras.layers.InputLayer) else getattr(graph, "_inputs", ()):
        if typed.dtype in HALF:
            yield typed, "_dtype", "float32"
    for operation in getattr(graph, "_operations", ()):
        if isinstance(operation, Cast) and keras.backend.standardize_dtype(operation.dtype) in HALF:
            yield operation, "dtype", "float32"
