"""What a reservoir can do: whether it forgets its start, and how far back it remembers its input."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.layers.echo_state_cell import EchoStateCell
from zoo.layers.reservoir_cell import ReservoirCell
from zoo.reservoir_weights import spectral_radius

Array = np.ndarray[Any, np.dtype[Any]]


@dataclasses.dataclass(frozen=True)
class EchoStateReport:
    """Whether a reservoir has the echo state property: its state depends on the input alone, not on where it began.

    Attributes:
        holds: Two states from different starts came together under the given input.
        distances: |h - h'| / |h_0 - h'_0| after each step, (time,).
        spectral_radius: Largest absolute eigenvalue of the recurrent weights.
        largest_singular_value: Of the recurrent weights.
        guaranteed: The sufficient condition holds, sigma_max(W) < 1: each step is a contraction, whatever the input.
    """

    holds: bool
    distances: Array
    spectral_radius: float
    largest_singular_value: float
    guaranteed: bool


def _find_reservoir(model: keras.Model, kind: type[ReservoirCell]) -> keras.layers.RNN:
    for layer in model.layers:
        if isinstance(layer, keras.layers.RNN) and isinstance(layer.cell, kind):
            return layer
    raise ValueError(f"model {model.name!r} has no recurrent layer with a {kind.__name__}")


def echo_state_property(
    model: keras.Model, inputs: Array | None = None, *, tolerance: float = 1e-6, seed: int = 0
) -> EchoStateReport:
    """Checks the echo state property, by trial and by the condition that suffices (Jaeger 2001).

    Args:
        model: An echo state network, or any functional model with an `EchoStateCell` in it.
        inputs: The sequence to try, (time, features); the property depends on it. None: 1,000 steps of noise.
        tolerance: What may remain of the distance between the two starts.
        seed: Of the starts and of the default inputs, all uniform in [-1, 1].

    Returns:
        What was found.

    Raises:
        ValueError: The model has no such reservoir.
    """
    cell = _find_reservoir(model, EchoStateCell).cell
    kernel, recurrent, bias = (
        np.asarray(ops.convert_to_numpy(weight), np.float64)
        for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-1, 1, (1000, len(kernel))) if inputs is None else np.asarray(inputs, np.float64)
    states = rng.uniform(-1, 1, (2, cell.units))
    start = np.linalg.norm(states[0] - states[1])
    distances = []
    for x in inputs:
        new = np.tanh(x @ kernel + states @ recurrent + bias)
        states = (1 - cell.leak_rate) * states + cell.leak_rate * new
        distances.append(np.linalg.norm(states[0] - states[1]) / start)
    largest = float(np.linalg.norm(recurrent, 2))
    return EchoStateReport(
        holds=bool(distances[-1] < tolerance),
        distances=np.array(distances),
        spectral_radius=spectral_radius(recurrent),
        largest_singular_value=largest,
        guaranteed=largest < 1,
    )


def memory_capacity(
    model: keras.Model,
    *,
    delays: int | None = None,
    steps: int = 4000,
    washout: int = 200,
    amplitude: float = 0.5,
    ridge: float = 1e-8,
    seed: int = 0,
) -> Array:
    """Measures the short-term memory of a reservoir (Jaeger 2002, GMD report 152).

    Equation:
        MC_k = max_w corr(u_{t-k}, w h_t)^2 for white noise u ~ U(-amplitude, amplitude);  MC = sum_k MC_k <= units

    The readouts w are fitted on one sequence and judged on another, so that noise isn't taken for memory.

    Args:
        model: A functional model with a reservoir of one input feature.
        delays: The longest delay. None: twice the reservoir's size.
        steps: Length of each of the two sequences after the washout.
        washout: Steps at the start that don't count, at least the longest delay.
        amplitude: Of the input.
        ridge: Strength of the regularisation.
        seed: Of the input.

    Returns:
        MC_k for the delays k = 1, 2, ...; its sum is the memory capacity.

    Raises:
        ValueError: No reservoir, or one with more than one input feature.
    """
    layer = _find_reservoir(model, ReservoirCell)
    features = layer.cell.kernel.shape[0]
    if features != 1:
        raise ValueError(f"memory capacity is defined for one input feature, the reservoir has {features}")
    delays = 2 * layer.cell.units if delays is None else delays
    washout = max(washout, delays)
    u = np.random.default_rng(seed).uniform(-amplitude, amplitude, (2, washout + steps))
    sequence = keras.Input(shape=(None, 1))
    runner = keras.Model(sequence, keras.layers.RNN(layer.cell, return_sequences=True)(sequence))
    states = np.asarray(runner.predict(u[..., None].astype("float32"), verbose=0), np.float64)[:, washout:]
    past = np.stack([u[:, washout - k : washout + steps - k] for k in range(1, delays + 1)], axis=-1)
    states = states - states[:1].mean(axis=1, keepdims=True)
    gram = states[0].T @ states[0] + ridge * np.eye(layer.cell.units)
    recalled = states[1] @ np.linalg.lstsq(gram, states[0].T @ past[0], rcond=None)[0]
    return _squared_correlation(recalled, past[1])


def _squared_correlation(a: Array, b: Array) -> Array:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = (a * a).sum(axis=0) * (b * b).sum(axis=0)
    product: Array = np.square((a * b).sum(axis=0)) / np.maximum(norms, 1e-300)
    return product
