"""Recurrent layers for the micro runtime: an LSTM as one fused op, everything else refused with what to do instead."""

import uuid
from typing import Any

import keras
import tensorflow as tf

from export.errors import ExportError
from export.lowering import LayerNote, Lowering
from export.micro_ops import MICRO_PATCHES
from export.recurrence import Recurrence, Result, cells_of

_STEP = "export it as a step model: streaming=True, with precision='int16x8' or 'float32'"


class MicroLowering(Lowering):
    """LSTM layers as UNIDIRECTIONAL_SEQUENCE_LSTM.

    Attributes:
        refusal: Why a layer was refused; Keras wraps what is raised inside a layer's call in a text of its own.
    """

    def __init__(self) -> None:
        self.patches = MICRO_PATCHES
        self.refusal = ""

    def note(self, layer: keras.layers.RNN) -> LayerNote:
        """One fused op for each cell."""
        return LayerNote(layer.name, tuple(type(cell).__name__ for cell in cells_of(layer)), "fused LSTM")

    def recurrent(self, call: Recurrence) -> Result:
        """Lowers one layer.

        Raises:
            ExportError: It is no LSTM as the op has it; the text is in `refusal` too.
        """
        self._check(call)
        stacked = isinstance(call.layer.cell, keras.layers.StackedRNNCells)
        outputs = tf.reverse(call.sequences, [1]) if call.layer.go_backwards else call.sequences
        states = []
        for cell in cells_of(call.layer):
            outputs = _fused(outputs, cell)
            states.append([outputs[:, -1]] * 2)
        last = outputs[:, -1]
        return last, outputs if call.layer.return_sequences else last[:, tf.newaxis], states if stacked else states[0]

    def _check(self, call: Recurrence) -> None:
        layer = call.layer
        for cell in cells_of(layer):
            if type(cell) is not keras.layers.LSTMCell:
                raise self._refuse(layer, f"a {type(cell).__name__.removesuffix('Cell')}, which has no fused op", _STEP)
            activations = (cell.activation, cell.recurrent_activation)
            if activations != (keras.activations.tanh, keras.activations.sigmoid):
                names = " and ".join(keras.activations.serialize(activation) for activation in activations)
                raise self._refuse(layer, f"an LSTM of {names}, and the fused op has tanh and sigmoid", _STEP)
        if call.mask is not None:
            advice = "drop the mask, and give it sequences of one length"
            raise self._refuse(layer, "masked, and the fused op knows no mask", advice)
        if layer.return_state or not call.zero_state:
            raise self._refuse(layer, "handed a state or hands its own out, which the fused op keeps inside", _STEP)

    def _refuse(self, layer: keras.layers.Layer, what: str, advice: str) -> ExportError:
        self.refusal = f"layer {layer.name!r} is {what}; {advice}"
        return ExportError(self.refusal)


def _fused(x: tf.Tensor, cell: keras.layers.LSTMCell) -> tf.Tensor:
    """(1, time, features) -> (1, time, units), by a function that the converter knows by its attributes."""
    zeros = tf.zeros((x.shape[0], cell.units))
    bias = cell.bias if cell.use_bias else tf.zeros(4 * cell.units)
    function = tf.function(
        _lstm,
        autograph=False,
        experimental_attributes={
            "api_implements": f"lstm_{uuid.uuid4()}",
            "api_preferred_device": "CPU",
            "time_major": False,
            "go_backwards": False,
        },
    )
    # A variable as an argument crashes the converter.
    weights = [tf.convert_to_tensor(value) for value in (cell.kernel, cell.recurrent_kernel, bias)]
    # Of the five outputs only the first two may be used, or the converter does not fuse, without a word.
    outputs: tf.Tensor = function(x, zeros, zeros, *weights)[1]
    return outputs


def _lstm(x: Any, h: Any, c: Any, kernel: Any, recurrent: Any, bias: Any) -> tuple[Any, ...]:
    """What the fused op computes, in the form of which the converter makes it: six arguments, five outputs."""

    def step(state: tuple[Any, Any], z: Any) -> tuple[Any, Any]:
        i, f, g, o = tf.split(z + tf.matmul(state[0], recurrent), 4, axis=-1)
        cell = tf.sigmoid(f) * state[1] + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(cell), cell

    hidden, cells = tf.scan(step, tf.transpose(tf.tensordot(x, kernel, 1) + bias, (1, 0, 2)), (h, c))
    outputs = tf.ensure_shape(tf.transpose(hidden, (1, 0, 2)), (x.shape[0], x.shape[1], recurrent.shape[0]))
    return outputs[:, -1], outputs, hidden[-1], cells[-1], tf.constant(1.0)
