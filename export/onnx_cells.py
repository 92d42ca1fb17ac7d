"""One step of an LSTM or GRU cell in as few ONNX nodes as can be.

A loop that decodes runs cells by themselves, step by step, and there onnxruntime spends its time on the number of
nodes, not on the products. Joining and reordering weights costs nothing: it is computed when the file is loaded.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from export.loops import blend_of

Call = Callable[..., Any]


def _lstm(original: Call) -> Call:
    def call(self: Any, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        # Input and state in one product; i, f and o side by side, so that one node squashes all three.
        weights = tf.concat([_tensor(self, self.kernel), _tensor(self, self.recurrent_kernel)], axis=0)
        z = tf.matmul(tf.concat([inputs, h], axis=1), _input_forget_output_candidate(weights))
        if self.use_bias:
            z = tf.nn.bias_add(z, _input_forget_output_candidate(_tensor(self, self.bias)))
        gates, candidate = tf.split(z, [3 * self.units, self.units], axis=1)
        i, f, o = tf.split(self.recurrent_activation(gates), 3, axis=1)
        c = f * c + i * self.activation(candidate)
        h = o * self.activation(c)
        return h, [h, c]

    return call


def _input_forget_output_candidate(weights: tf.Tensor) -> tf.Tensor:
    i, f, candidate, o = tf.split(weights, 4, axis=-1)
    return tf.concat([i, f, o, candidate], axis=-1)


def _gru(original: Call) -> Call:
    def call(self: Any, inputs: Any, states: Any, training: bool = False) -> Any:
        if not self.reset_after:
            return original(self, inputs, states, training=training)
        nested = keras.tree.is_nested(states)
        h = states[0] if nested else states
        biases = tf.unstack(_tensor(self, self.bias)) if self.use_bias else (None, None)
        sizes = [2 * self.units, self.units]
        x_gates, x_candidate = tf.split(_product(self, inputs, self.kernel, biases[0]), sizes, axis=1)
        h_gates, h_candidate = tf.split(_product(self, h, self.recurrent_kernel, biases[1]), sizes, axis=1)
        update, reset = tf.split(self.recurrent_activation(x_gates + h_gates), 2, axis=1)
        candidate = self.activation(x_candidate + reset * h_candidate)
        h = blend_of(self)(update, h, candidate)
        return h, [h] if nested else h

    return call


def _product(cell: Any, x: tf.Tensor, kernel: Any, bias: tf.Tensor | None) -> tf.Tensor:
    product = tf.matmul(x, _tensor(cell, kernel))
    return product if bias is None else tf.nn.bias_add(product, bias)


def _tensor(cell: Any, variable: Any) -> tf.Tensor:
    return tf.cast(tf.convert_to_tensor(variable), cell.compute_dtype)


STEPS: dict[tuple[Any, str], Callable[[Call], Call]] = {
    (keras.layers.LSTMCell, "call"): _lstm,
    (keras.layers.GRUCell, "call"): _gru,
}
