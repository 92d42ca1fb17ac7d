import math
from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="seqzoo")
class LeakyCell(GatedCell):
    """A plain cell whose units move with time constants of their own (Mozer 1992; Jaeger et al. 2007).

    Equation:
        h_t = (1 - a) * h_{t-1} + a * tanh(x_t W + h_{t-1} U + b),  a = 1 / tau for each unit

    The time constants tau start from `shortest` to `longest` steps, evenly on a logarithmic scale. Learned, they are
    a = sigmoid(rate), so that tau stays above 1. References: doi:10.1016/j.neunet.2007.04.016, NIPS 4 (Mozer).
    """

    gates = 1

    def __init__(
        self, units: int, shortest: float = 1.0, longest: float = 100.0, learned: bool = False, **options: Any
    ) -> None:
        """Makes the cell.

        Args:
            units: Width of the state.
            shortest: Time constant of the fastest unit, in steps, at least 1.
            longest: Time constant of the slowest unit.
            learned: Whether training moves the time constants.
            **options: Further arguments of `keras.layers.SimpleRNNCell`.

        Raises:
            ValueError: Not 1 <= shortest <= longest.
        """
        super().__init__(units, **options)
        if not 1 <= shortest <= longest:
            raise ValueError(f"time constants must be 1 <= shortest <= longest, got {shortest:g} and {longest:g}")
        self.shortest, self.longest, self.learned = shortest, longest, learned

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights and the rate of each unit."""
        super().build(input_shape)
        spread = [i / max(1, self.units - 1) for i in range(self.units)]
        shares = [(self.longest / self.shortest) ** -place / self.shortest for place in spread]
        # A share of 1 is at the sigmoid's infinity: just below it learns, too.
        logits = [math.log(share / (1 - share)) for share in (min(share, 0.99) for share in shares)]
        self.rate = self.add_weight(
            shape=(self.units,),
            name="rate",
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(logits if self.learned else shares, dtype),
            trainable=self.learned,
        )

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h], (batch, units), to h and [h]."""
        (h,) = states
        x, dropped = self.drop(inputs, h, training)
        share = ops.sigmoid(self.rate) if self.learned else ops.convert_to_tensor(self.rate)
        new = self.activation(ops.matmul(x, self.kernel) + ops.matmul(dropped, self.recurrent_kernel) + self.bias)
        h = (1 - share) * h + share * new
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        own = {"shortest": self.shortest, "longest": self.longest, "learned": self.learned}
        return {**super().get_config(), **own}
