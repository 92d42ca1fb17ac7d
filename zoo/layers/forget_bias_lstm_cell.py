from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="seqzoo")
class ForgetBiasLSTMCell(GatedCell):
    """An LSTM whose forget gate is held open by a constant (Gers et al. 2000; Jozefowicz et al. 2015).

    Keras's own LSTM starts the forget gate's bias at 1 and lets training move it. Here the constant stands in the
    equation, beside a bias that starts at zero: weight decay then pulls towards an open gate, and its height is an
    argument. About log(T) suits memories of T steps (Tallec & Ollivier 2018).

    Equation:
        [i, f, g, o] = x_t W + h_{t-1} U + b
        c_t = sigmoid(f + forget_bias) * c_{t-1} + sigmoid(i) * tanh(g)
        h_t = sigmoid(o) * tanh(c_t)

    References: doi:10.1162/089976600300015015, proceedings.mlr.press/v37/jozefowicz15, arXiv:1804.11188.
    """

    gates, memory = 4, True

    def __init__(self, units: int, forget_bias: float = 1.0, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of each state.
            forget_bias: What is added to the forget gate before the sigmoid.
            **options: Further arguments of `keras.layers.SimpleRNNCell`.
        """
        super().__init__(units, **options)
        self.forget_bias = forget_bias

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h, c], each (batch, units), to h and [h, c]."""
        h, c = states
        x, h = self.drop(inputs, h, training)
        z = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        c = ops.sigmoid(f + self.forget_bias) * c + ops.sigmoid(i) * self.activation(g)
        h = ops.sigmoid(o) * self.activation(c)
        return h, [h, c]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "forget_bias": self.forget_bias}
