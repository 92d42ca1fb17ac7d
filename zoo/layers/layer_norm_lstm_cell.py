from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="seqzoo")
class LayerNormLSTMCell(GatedCell):
    """An LSTM whose sums are normalised over the units, each sample and step by itself (Ba, Kiros & Hinton 2016).

    Equation:
        N(v) = (v - mean(v)) / sqrt(var(v) + epsilon), over the last axis
        [i, f, g, o] = N(x_t W) * s_x + N(h_{t-1} U) * s_h + b
        c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
        h_t = sigmoid(o) * tanh(N(c_t) * s_c + b_c)

    `input_scale` s_x and `recurrent_scale` s_h are (4 units), `cell_scale` s_c and `cell_bias` b_c (units).
    Reference: arXiv:1607.06450, equations 20-22.
    """

    gates, memory, forget_gate = 4, True, 1

    def __init__(self, units: int, epsilon: float = 1e-5, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of each state.
            epsilon: Keeps the division finite where all units are equal, as at the first step.
            **options: Further arguments of `keras.layers.SimpleRNNCell`.

        Raises:
            ValueError: One unit: less its mean it is zero, whatever it was.
        """
        super().__init__(units, **options)
        if units < 2:
            raise ValueError(f"a layer norm needs units to compare: units must be at least 2, got {units}")
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of the gates and of the normalisations."""
        super().build(input_shape)
        width = self.gates * self.units
        self.input_scale = self.add_weight(shape=(width,), name="input_scale", initializer="ones")
        self.recurrent_scale = self.add_weight(shape=(width,), name="recurrent_scale", initializer="ones")
        self.cell_scale = self.add_weight(shape=(self.units,), name="cell_scale", initializer="ones")
        self.cell_bias = self.add_weight(shape=(self.units,), name="cell_bias", initializer="zeros")

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h, c], each (batch, units), to h and [h, c]."""
        h, c = states
        x, h = self.drop(inputs, h, training)
        from_input = self._normalise(ops.matmul(x, self.kernel)) * self.input_scale
        from_state = self._normalise(ops.matmul(h, self.recurrent_kernel)) * self.recurrent_scale
        i, f, g, o = ops.split(from_input + from_state + self.bias, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * self.activation(g)
        h = ops.sigmoid(o) * self.activation(self._normalise(c) * self.cell_scale + self.cell_bias)
        return h, [h, c]

    def _normalise(self, v: Any) -> Any:
        # Squares of small numbers vanish in half precision: as in Keras's own layer, statistics are of 32 bits.
        is_half = self.compute_dtype in ("float16", "bfloat16")
        wide = ops.cast(v, "float32") if is_half else v
        centred = wide - ops.mean(wide, axis=-1, keepdims=True)
        normal = centred * ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + self.epsilon)
        return ops.cast(normal, self.compute_dtype) if is_half else normal

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
