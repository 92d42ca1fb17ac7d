"""A model as the function that an artifact holds: no state between calls, no training, float32 throughout."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.ops.core import Cast

_HALF = ("float16", "bfloat16")


@contextlib.contextmanager
def inference_form(model: keras.Model) -> Iterator[None]:
    """Inside, the model is the function that an artifact holds; afterwards it is as it was.

    Stateful layers start each call from zeros (an artifact keeps no state between calls), and layers that compute in
    half precision compute in float32 (the runtimes' CPU kernels do), of inputs that are not rounded to half before.
    """
    layers = model._flatten_layers()
    changes: list[tuple[Any, str, Any]] = [(x, "stateful", False) for x in layers if getattr(x, "stateful", False)]
    changes += [(x, "_dtype_policy", _in_float32(x)) for x in layers if x.compute_dtype in _HALF]
    changes += [change for layer in layers for change in _casts_to_half(layer)]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    try:
        for change in changes:
            setattr(*change)
        yield
    finally:
        for original in originals:
            setattr(*original)


def _in_float32(layer: Any) -> keras.DTypePolicy:
    """Computes in float32, of variables as they are: half precision too, which Keras then casts at each use."""
    policy = keras.DTypePolicy("float32")
    policy._variable_dtype = layer.variable_dtype
    return policy


def _casts_to_half(layer: Any) -> Iterator[tuple[Any, str, str]]:
    """Where a model made in mixed precision keeps what its layers' policies were: a Sequential's input, each cast."""
    graph = getattr(layer, "_functional", None) or layer
    for typed in [layer] if isinstance(layer, keras.layers.InputLayer) else getattr(graph, "_inputs", ()):
        if typed.dtype in _HALF:
            yield typed, "_dtype", "float32"
    for operation in getattr(graph, "_operations", ()):
        if isinstance(operation, Cast) and keras.backend.standardize_dtype(operation.dtype) in _HALF:
            yield operation, "dtype", "float32"
