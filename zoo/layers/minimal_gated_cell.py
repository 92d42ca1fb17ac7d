from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="seqzoo")
class MinimalGatedCell(GatedCell):
    """A GRU with one gate for both update and reset (Zhou et al. 2016): two thirds of its weights.

    Equation:
        f_t = sigmoid(x_t W_f + h_{t-1} U_f + b_f)
        g_t = tanh(x_t W_g + (f_t * h_{t-1}) U_g + b_g)
        h_t = (1 - f_t) * h_{t-1} + f_t * g_t

    Reference: arXiv:1603.09420.
    """

    gates = 2

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h], (batch, units), to h and [h]."""
        (h,) = states
        x, dropped = self.drop(inputs, h, training)
        x_f, x_g = ops.split(ops.matmul(x, self.kernel) + self.bias, 2, axis=-1)
        u_f, u_g = ops.split(ops.convert_to_tensor(self.recurrent_kernel), 2, axis=-1)
        f = ops.sigmoid(x_f + ops.matmul(dropped, u_f))
        g = self.activation(x_g + ops.matmul(f * dropped, u_g))
        h = (1 - f) * h + f * g
        return h, [h]
