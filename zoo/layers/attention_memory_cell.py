from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class AttentionMemoryCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """An LSTM that keeps its last states in an explicit memory and reads them by attention (Cheng et al. 2016).

    Equation, M the last `slots` states, oldest first:
        h_t, c_t = LSTM([x_t; r_{t-1}], h_{t-1}, c_{t-1})
        a = softmax_i(v tanh(M_i W_m + h_t W_h)) over the slots that are filled;  r_t = sum_i a_i M_i
        M gets h_t, and loses its oldest

    Output: h_t and r_t side by side, with `return_weights` also a. States, zero at the start: M (slots x units), which
    slots are filled (slots), r, h, c. References: arXiv:1601.06733; Daniluk et al. 2017, arXiv:1702.04521.
    """

    def __init__(self, units: int, slots: int = 10, return_weights: bool = False, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of the state.
            slots: How many states are remembered.
            return_weights: Whether the output holds the attention weights too.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.units, self.slots, self.return_weights = units, slots, return_weights
        self.state_size = [slots * units, slots, units, units, units]
        self.output_size = 2 * units + return_weights * slots

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of the LSTM and of the attention."""
        units = self.units
        self.lstm = keras.layers.LSTMCell(units, dtype=self.dtype_policy, name="lstm")
        self.lstm.build((None, int(input_shape[-1] or 0) + units))
        self.memory_kernel = self.add_weight(shape=(units, units), name="memory_kernel", initializer="glorot_uniform")
        self.state_kernel = self.add_weight(shape=(units, units), name="state_kernel", initializer="glorot_uniform")
        self.query = self.add_weight(shape=(units, 1), name="query", initializer="glorot_uniform")

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and the states to the output and the states."""
        flat, filled, r, h, c = states
        h, (h, c) = self.lstm(ops.concatenate([inputs, r], axis=-1), [h, c])
        memory = ops.reshape(flat, (-1, self.slots, self.units))
        keys = ops.reshape(ops.matmul(ops.reshape(flat, (-1, self.units)), self.memory_kernel), ops.shape(memory))
        scores = ops.matmul(ops.tanh(keys + ops.expand_dims(ops.matmul(h, self.state_kernel), 1)), self.query)
        # (batch, slots), in float32: a sum over many slots
        scores = ops.where(filled > 0, ops.cast(scores[..., 0], "float32"), -1e9)
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)) * ops.cast(filled, "float32")
        weights = ops.cast(weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 1e-9), h.dtype)
        r = ops.sum(memory * ops.expand_dims(weights, -1), axis=1)
        flat = ops.concatenate([flat[:, self.units :], h], axis=-1)
        filled = ops.concatenate([filled[:, 1:], ops.ones_like(filled[:, :1])], axis=-1)
        output = [h, r, weights][: 2 + self.return_weights]
        return ops.concatenate(output, axis=-1), [flat, filled, r, h, c]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        names = ("units", "slots", "return_weights")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
