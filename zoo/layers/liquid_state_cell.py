import math
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.layers.reservoir_cell import ReservoirCell
from zoo.reservoir_weights import input_matrix, liquid_matrix


@keras.saving.register_keras_serializable(package="seqzoo")
class LiquidStateCell(ReservoirCell):
    """A reservoir of leaky integrate-and-fire neurons with fixed random synapses (Maass et al. 2002).

    Equation, at each step, time constants in steps:
        v = exp(-1 / membrane_time) v_{t-1} + c_{t-1} + x_t W_in + background, but 0 while a neuron is refractory
        s_t = 1 where v >= threshold, else 0;  v_t = 0 where s_t = 1, else v
        c_t = exp(-1 / synapse_time) c_{t-1} + s_t W
        p_t = exp(-1 / synapse_time) p_{t-1} + s_t: the liquid state, what a readout sees of the spikes

    After a spike a neuron is refractory for `refractory` steps. W: see `zoo.reservoir_weights.liquid_matrix`.
    `kernel` W_in (features, units) and `recurrent_kernel` W (units, units) are never trained. States p, v, c and the
    refractory steps left, each (batch, units), start at 0. All is float32 under every dtype policy: a spike that
    rounding moves changes everything after it. Reference: doi:10.1162/089976602760407955.
    """

    def __init__(
        self,
        units: int,
        input_scaling: float = 1.0,
        input_connectivity: float = 0.3,
        recurrent_scaling: float = 0.3,
        excitatory: float = 0.8,
        reach: float = 2.0,
        membrane_time: float = 30.0,
        synapse_time: float = 10.0,
        refractory: int = 3,
        threshold: float = 1.0,
        background: float = 0.0,
        seed: int = 0,
        **options: Any,
    ) -> None:
        """Makes the cell.

        Args:
            units: Number of neurons.
            input_scaling: Largest absolute input weight.
            input_connectivity: How likely a neuron hears a feature.
            recurrent_scaling: Mean strength of a synapse between excitatory neurons.
            excitatory: Share of the neurons that excite others; the rest inhibits.
            reach: The distance over which connections thin out, in grid steps.
            membrane_time: Steps after which a potential has decayed to 1/e.
            synapse_time: The same of a synaptic current and of a spike's trace.
            refractory: Steps of rest after a spike.
            threshold: The potential at which a neuron fires.
            background: A constant current into every neuron.
            seed: Of the random weights.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(units, seed, **{**options, "dtype": "float32"})
        self.state_size = [units] * 4
        self.input_scaling = input_scaling
        self.input_connectivity = input_connectivity
        self.recurrent_scaling = recurrent_scaling
        self.excitatory = excitatory
        self.reach = reach
        self.membrane_time = membrane_time
        self.synapse_time = synapse_time
        self.refractory = refractory
        self.threshold = threshold
        self.background = background

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Draws the weights."""
        features, units = int(input_shape[-1] or 0), self.units
        of_input, of_state = (np.random.default_rng([self.seed, i]) for i in range(2))
        self.kernel = self.fixed(
            "kernel", input_matrix(features, units, self.input_scaling, self.input_connectivity, of_input)
        )
        self.recurrent_kernel = self.fixed(
            "recurrent_kernel", liquid_matrix(units, self.excitatory, self.reach, self.recurrent_scaling, of_state)
        )

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [p, v, c, rest], each (batch, units), to p and the states."""
        p, v, c, rest = states
        v = math.exp(-1 / self.membrane_time) * v + c + ops.matmul(inputs, self.kernel) + self.background
        v = ops.where(rest > 0, ops.zeros_like(v), v)
        fires = v >= self.threshold
        s = ops.cast(fires, v.dtype)
        decay = math.exp(-1 / self.synapse_time)
        p, c = decay * p + s, decay * c + ops.matmul(s, self.recurrent_kernel)
        v = ops.where(fires, ops.zeros_like(v), v)
        rest = ops.maximum(rest - 1, 0) + self.refractory * s
        return p, [p, v, c, rest]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        names = (
            "input_scaling input_connectivity recurrent_scaling excitatory reach membrane_time synapse_time "
            "refractory threshold background"
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}
