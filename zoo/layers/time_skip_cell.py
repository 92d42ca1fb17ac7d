from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="seqzoo")
class TimeSkipCell(GatedCell):
    """A plain cell with a second connection, from the state d steps back (Lin et al. 1996; El Hihi & Bengio 1996).

    Equation:
        h_t = tanh(x_t W + h_{t-1} U + h_{t-d} V + b),  h_t = 0 for t <= 0

    A gradient over T steps passes T / d nonlinearities along the skips. The state holds h_{t-1} ... h_{t-d}, newest
    first, (batch, d x units). References: doi:10.1109/72.548162, NIPS 8 (El Hihi & Bengio).
    """

    gates = 1

    def __init__(self, units: int, delay: int, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of the state at one step.
            delay: d, at least 2.
            **options: Further arguments of `keras.layers.SimpleRNNCell`.

        Raises:
            ValueError: A delay below 2: that connection is there already.
        """
        super().__init__(units, **options)
        if delay < 2:
            raise ValueError(f"delay must be at least 2, got {delay}")
        self.delay = delay
        self.state_size = delay * units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes W, U, b and V."""
        super().build(input_shape)
        self.skip_kernel = self.add_weight(
            shape=(self.units, self.units), name="skip_kernel", initializer=self.recurrent_initializer
        )

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Gives zeros, (batch, delay x units)."""
        return [ops.zeros((batch_size, self.state_size), dtype=self.compute_dtype)]

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [past], (batch, delay x units), to h and [past]."""
        x, past = self.drop(inputs, states[0], training)
        last, first = past[:, : self.units], past[:, -self.units :]
        z = ops.matmul(x, self.kernel) + ops.matmul(last, self.recurrent_kernel) + ops.matmul(first, self.skip_kernel)
        h = self.activation(z + self.bias)
        return h, [ops.concatenate([h, states[0][:, : -self.units]], axis=-1)]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "delay": self.delay}
