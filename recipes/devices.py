"""Where a model trains, and whether cuDNN can run its recurrent layers.

The conditions are Keras's own, from `keras/src/backend/tensorflow/rnn.py` and the `inner_loop` of its LSTM and GRU:
a layer that misses one runs step by step, many times slower, and Keras says nothing.
"""

import dataclasses
import os
from typing import Any

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """Whether cuDNN can run a recurrent layer.

    Attributes:
        name: The layer's name; inside of a Bidirectional, of the one direction.
        kind: Its class.
        misses: The conditions that it misses, each with what it has instead; empty if cuDNN can run it.
        masked: Whether a mask reaches it, so that its rows must be right-padded with at least one step.
    """

    name: str
    kind: str
    misses: tuple[str, ...]
    masked: bool

    def __str__(self) -> str:
        if self.misses:
            return f"{self.name} ({self.kind}): cuDNN can't run it: {', '.join(self.misses)}"
        condition = ", as long as each row of its mask is right-padded and has a step" if self.masked else ""
        return f"{self.name} ({self.kind}): meets cuDNN's conditions{condition}"


def device_name() -> str:
    """Says what TensorFlow trains on.

    Returns:
        `"GPU (NVIDIA H200)"`, several joined by commas, or `"CPU (2 cores)"`.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU ({_cores()} cores)"
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return f"GPU ({', '.join(names)})"


def has_gpu() -> bool:
    """True where TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def recurrent_layers(model: keras.Model) -> list[LayerReport]:
    """Looks at every recurrent layer of a model, inside of wrappers and nested models too.

    Args:
        model: Any built Keras model.

    Returns:
        One report a layer, in the model's order.
    """
    # `_flatten_layers` is how Keras itself asks each layer whether it supports jit, nested ones included.
    layers = list(model._flatten_layers())
    masked = any(isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False) for layer in layers)
    rnns = [layer for layer in layers if isinstance(layer, keras.layers.RNN)]
    return [LayerReport(rnn.name, _kind(rnn), tuple(cudnn_misses(rnn)), masked) for rnn in rnns]


def cudnn_misses(layer: keras.layers.RNN) -> list[str]:
    """Lists the conditions of cuDNN that a recurrent layer misses.

    Args:
        layer: An RNN layer.

    Returns:
        One entry a condition, such as `"recurrent_dropout is 0.1, not 0"`; empty if cuDNN can run the layer.
    """
    if not isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)):
        return [f"cuDNN knows LSTM and GRU in Keras, not {_kind(layer)}"]
    misses = [
        f"{name} is {_name(getattr(layer, name))}, not {wanted}"
        for name, wanted in (("activation", "tanh"), ("recurrent_activation", "sigmoid"))
        if getattr(layer, name) is not keras.activations.get(wanted)
    ]
    wanted = {"recurrent_dropout": 0, "unroll": False, "use_bias": True}
    if isinstance(layer, keras.layers.GRU):
        wanted["reset_after"] = True
    misses += [
        f"{name} is {getattr(layer, name)}, not {value}"
        for name, value in wanted.items()
        if getattr(layer, name) != value
    ]
    return misses + (["use_cudnn is False"] if layer.use_cudnn is False else [])


def _kind(layer: keras.layers.RNN) -> str:
    plain = type(layer) is keras.layers.RNN
    return f"RNN of {type(layer.cell).__name__}" if plain else type(layer).__name__


def _name(activation: Any) -> str:
    return getattr(activation, "__name__", type(activation).__name__)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
