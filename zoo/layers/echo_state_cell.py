from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.layers.reservoir_cell import ReservoirCell
from zoo.reservoir_weights import echo_matrix, input_matrix


@keras.saving.register_keras_serializable(package="seqzoo")
class EchoStateCell(ReservoirCell):
    """A reservoir of leaky tanh units with fixed, sparse, random connections (Jaeger 2001; Jaeger et al. 2007).

    Equation:
        h_t = (1 - a) h_{t-1} + a tanh(x_t W_in + h_{t-1} W + b),  a the leak rate
        W: a share `connectivity` of the entries is normal, the rest zero, scaled so that max |eigenvalue| =
        `spectral_radius`;  W_in ~ U(-input_scaling, input_scaling);  b ~ U(-bias_scaling, bias_scaling)

    `kernel` W_in (features, units), `recurrent_kernel` W (units, units) and `bias` b (units) are never trained.
    References: Jaeger 2001, GMD report 148; doi:10.1016/j.neunet.2007.04.016; doi:10.1007/978-3-642-35289-8_36.
    """

    def __init__(
        self,
        units: int,
        spectral_radius: float = 0.9,
        input_scaling: float = 1.0,
        bias_scaling: float = 0.0,
        leak_rate: float = 1.0,
        connectivity: float = 0.1,
        seed: int = 0,
        **options: Any,
    ) -> None:
        """Makes the cell.

        Args:
            units: Size of the reservoir.
            spectral_radius: Largest absolute eigenvalue of W.
            input_scaling: Largest absolute input weight.
            bias_scaling: Largest absolute bias.
            leak_rate: How much of the state is new at each step, in (0, 1].
            connectivity: Share of W that is not zero, in (0, 1]; each unit listens to at least one.
            seed: Of the random weights.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: A leak rate or a connectivity outside of (0, 1], or a negative spectral radius.
        """
        super().__init__(units, seed, **options)
        for name, share in (("leak_rate", leak_rate), ("connectivity", connectivity)):
            if not 0 < share <= 1:
                raise ValueError(f"{name} must be more than 0 and at most 1, got {share}")
        if spectral_radius < 0:
            raise ValueError(f"spectral_radius must be at least 0, got {spectral_radius}")
        self.state_size = units
        self.spectral_radius = spectral_radius
        self.input_scaling = input_scaling
        self.bias_scaling = bias_scaling
        self.leak_rate = leak_rate
        self.connectivity = connectivity

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Draws the weights."""
        features, units = int(input_shape[-1] or 0), self.units
        # A stream for each: more features leave the recurrent matrix as it was.
        of_input, of_state, of_bias = (np.random.default_rng([self.seed, i]) for i in range(3))
        self.kernel = self.fixed("kernel", input_matrix(features, units, self.input_scaling, 1.0, of_input))
        self.recurrent_kernel = self.fixed(
            "recurrent_kernel", echo_matrix(units, self.spectral_radius, self.connectivity, of_state)
        )
        self.bias = self.fixed("bias", input_matrix(1, units, self.bias_scaling, 1.0, of_bias)[0])

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h], (batch, units), to h and [h]."""
        (h,) = states
        new = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias)
        h = new if self.leak_rate == 1 else (1 - self.leak_rate) * h + self.leak_rate * new
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {
            **super().get_config(),
            "spectral_radius": self.spectral_radius,
            "input_scaling": self.input_scaling,
            "bias_scaling": self.bias_scaling,
            "leak_rate": self.leak_rate,
            "connectivity": self.connectivity,
        }
