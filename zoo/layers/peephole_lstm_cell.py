from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="seqzoo")
class PeepholeLSTMCell(GatedCell):
    """An LSTM whose gates see the cell state (Gers, Schraudolph & Schmidhuber 2002): it can time and count.

    Equation:
        [i, f, g, o] = x_t W + h_{t-1} U + b
        i_t = sigmoid(i + p_i * c_{t-1}),  f_t = sigmoid(f + p_f * c_{t-1})
        c_t = f_t * c_{t-1} + i_t * tanh(g)
        h_t = sigmoid(o + p_o * c_t) * tanh(c_t)

    `peephole` holds [p_i, p_f, p_o], (3, units).
    Reference: jmlr.org/papers/v3/gers02a.
    """

    gates, memory, forget_gate = 4, True, 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of the gates and the peepholes."""
        super().build(input_shape)
        self.peephole = self.add_weight(shape=(3, self.units), name="peephole", initializer=self.kernel_initializer)

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h, c], each (batch, units), to h and [h, c]."""
        h, c = states
        x, h = self.drop(inputs, h, training)
        z = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        p_i, p_f, p_o = ops.unstack(ops.convert_to_tensor(self.peephole))
        c = ops.sigmoid(f + p_f * c) * c + ops.sigmoid(i + p_i * c) * self.activation(g)
        h = ops.sigmoid(o + p_o * c) * self.activation(c)
        return h, [h, c]
