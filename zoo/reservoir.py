"""Reservoirs: a large fixed random recurrence, of which only the linear readout is trained."""

from typing import Annotated, Any

import keras

from zoo.blocks import padding_masked
from zoo.fields import NaturalNumber, PositiveFloat, PositiveInt, Range
from zoo.layers.echo_state_cell import EchoStateCell
from zoo.layers.liquid_state_cell import LiquidStateCell
from zoo.readouts import OnlineReadout, fit_readout
from zoo.registry import register_model
from zoo.reservoir_analysis import EchoStateReport, echo_state_property, memory_capacity
from zoo.reservoir_weights import spectral_radius
from zoo.specs import TaskShape

__all__ = [
    "EchoStateReport",
    "OnlineReadout",
    "echo_state_network",
    "echo_state_property",
    "fit_readout",
    "liquid_state_machine",
    "memory_capacity",
    "spectral_radius",
]

Scale = Annotated[float, Range(min=0)]
"""A scale that may be zero."""
Share = Annotated[float, Range(above=0, max=1)]
"""A part of a whole, of which there must be some."""


def _features(features: int, mask_value: float | None) -> tuple[Any, Any]:
    inputs = keras.Input(shape=(None, features), dtype="float32", name="features")
    return inputs, inputs if mask_value is None else padding_masked(inputs, mask_value)


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={"features": "batch time features"},
    outputs={"predictions": "batch time targets"},
    streamable=True,
    references=(
        "Jaeger 2001, GMD report 148, The 'echo state' approach to analysing and training recurrent neural networks",
        "Jaeger 2003, NIPS 15, Adaptive nonlinear system identification with echo state networks",
        "Jaeger et al. 2007, doi:10.1016/j.neunet.2007.04.016",
        "Lukosevicius 2012, doi:10.1007/978-3-642-35289-8_36",
    ),
    tiny={"features": 4, "targets": 2, "units": 5, "connectivity": 0.5},
)
def echo_state_network(
    *,
    features: PositiveInt,
    targets: PositiveInt = 1,
    units: PositiveInt = 100,
    spectral_radius: Scale = 0.9,
    input_scaling: Scale = 1.0,
    bias_scaling: Scale = 0.0,
    leak_rate: Share = 1.0,
    connectivity: Share = 0.1,
    input_to_readout: bool = True,
    squares_to_readout: bool = False,
    seed: NaturalNumber = 0,
    mask_value: float | None = None,
) -> keras.Model:
    """Predicts numbers at each step from a fixed random recurrence; only the linear readout learns.

    Solve the readout in closed form by `zoo.reservoir.fit_readout(model, x, y)`, follow a stream by
    `zoo.reservoir.OnlineReadout(model)`, or train it with `model.fit` as any other model.

    Equation:
        h_t = (1 - a) h_{t-1} + a tanh(x_t W_in + h_{t-1} W + b),  max |eigenvalue of W| = spectral_radius
        y_t = [h_t; x_t] W_out + c, with squares [h_t; h_t^2; x_t] W_out + c
        ridge: W_out, c = argmin sum_t |y_t - target_t|^2 + ridge |W_out|^2

    Args:
        features: Size of the feature vectors.
        targets: How many numbers to predict at each step.
        units: Size of the reservoir.
        spectral_radius: Largest absolute eigenvalue of the recurrent weights; the longer the memory, the nearer to 1.
        input_scaling: Largest absolute input weight; the larger, the less linear.
        bias_scaling: Largest absolute bias.
        leak_rate: How much of the state is new at each step; small for slow signals.
        connectivity: Share of the recurrent weights that is not zero.
        input_to_readout: Whether the readout also sees the input.
        squares_to_readout: Whether it also sees the square of each unit (Jaeger 2003): twice the weights to solve for,
            and what a linear readout misses where the reservoir, odd as tanh is, must tell a sign from a size.
        seed: Of the reservoir's weights.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) to `predictions` (batch, time, targets), in the targets' own
        units.
    """
    # Inputs
    inputs, x = _features(features, mask_value)

    # Body: (batch, time, features) -> (batch, time, units), perhaps with their squares and the features beside them
    cell = EchoStateCell(
        units,
        spectral_radius=spectral_radius,
        input_scaling=input_scaling,
        bias_scaling=bias_scaling,
        leak_rate=leak_rate,
        connectivity=connectivity,
        seed=seed,
        name="reservoir_cell",
    )
    h = keras.layers.RNN(cell, return_sequences=True, name="reservoir")(x)
    seen = [h]
    if squares_to_readout:
        seen.append(keras.layers.Multiply(name="squares")([h, h]))
    if input_to_readout:
        seen.append(x)
    if len(seen) > 1:
        h = keras.layers.Concatenate(name="readout_inputs")(seen)

    # Head: (batch, time, units) -> (batch, time, targets)
    predictions = keras.layers.Dense(targets, dtype="float32", name="predictions")(h)
    return keras.Model(inputs, predictions, name="echo_state_network")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={"features": "batch time features"},
    outputs={"predictions": "batch time targets"},
    streamable=True,
    references=(
        "Maass, Natschlaeger & Markram 2002, doi:10.1162/089976602760407955",
        "Gerstner & Kistler 2002, Spiking Neuron Models, doi:10.1017/CBO9780511815706, section 4.1",
    ),
    tiny={"features": 4, "targets": 2, "units": 9, "input_scaling": 3.0, "refractory": 1},
)
def liquid_state_machine(
    *,
    features: PositiveInt,
    targets: PositiveInt = 1,
    units: PositiveInt = 135,
    input_scaling: Scale = 1.0,
    input_connectivity: Share = 0.3,
    recurrent_scaling: Scale = 0.3,
    excitatory: Annotated[float, Range(min=0, max=1)] = 0.8,
    reach: PositiveFloat = 2.0,
    membrane_time: PositiveFloat = 30.0,
    synapse_time: PositiveFloat = 10.0,
    refractory: NaturalNumber = 3,
    threshold: PositiveFloat = 1.0,
    background: Scale = 0.0,
    seed: NaturalNumber = 0,
    mask_value: float | None = None,
) -> keras.Model:
    """Predicts numbers at each step from the spikes of a fixed random network; only the linear readout learns.

    Solve the readout in closed form by `zoo.reservoir.fit_readout(model, x, y)`, follow a stream by
    `zoo.reservoir.OnlineReadout(model)`, or train it with `model.fit` as any other model.

    Equation, time constants in steps:
        v = exp(-1 / membrane_time) v_{t-1} + c_{t-1} + x_t W_in + background, but 0 while a neuron is refractory
        s_t = 1 where v >= threshold, else 0;  v_t = 0 where s_t = 1, else v
        c_t = exp(-1 / synapse_time) c_{t-1} + s_t W;  p_t = exp(-1 / synapse_time) p_{t-1} + s_t
        y_t = p_t W_out + c

    Neurons stand on a 3 x 3 x units / 9 grid; a reaches b with probability C_ab exp(-(distance / reach)^2).

    Args:
        features: Size of the feature vectors.
        targets: How many numbers to predict at each step.
        units: Number of neurons.
        input_scaling: Largest absolute input weight.
        input_connectivity: How likely a neuron hears a feature.
        recurrent_scaling: Mean strength of a synapse between excitatory neurons.
        excitatory: Share of the neurons that excite others; the rest inhibits.
        reach: The distance over which connections thin out, in grid steps.
        membrane_time: Steps after which a potential has decayed to 1/e.
        synapse_time: The same of a synaptic current and of the trace that the readout sees.
        refractory: Steps of rest after a spike.
        threshold: The potential at which a neuron fires.
        background: A constant current into every neuron.
        seed: Of the fixed weights.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) to `predictions` (batch, time, targets), in the targets' own
        units.
    """
    # Inputs
    inputs, x = _features(features, mask_value)

    # Body: (batch, time, features) -> (batch, time, units)
    cell = LiquidStateCell(
        units,
        input_scaling=input_scaling,
        input_connectivity=input_connectivity,
        recurrent_scaling=recurrent_scaling,
        excitatory=excitatory,
        reach=reach,
        membrane_time=membrane_time,
        synapse_time=synapse_time,
        refractory=refractory,
        threshold=threshold,
        background=background,
        seed=seed,
        name="reservoir_cell",
    )
    traces = keras.layers.RNN(cell, return_sequences=True, dtype="float32", name="reservoir")(x)

    # Head: (batch, time, units) -> (batch, time, targets)
    predictions = keras.layers.Dense(targets, dtype="float32", name="predictions")(traces)
    return keras.Model(inputs, predictions, name="liquid_state_machine")
