"""The fixed weights of reservoirs, drawn once from a seed: NumPy in, NumPy out."""

from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float32]]

_ROUNDS = 20
_CLOSE = 1e-7


def spectral_radius(matrix: Any) -> float:
    """Measures the largest absolute eigenvalue.

    Args:
        matrix: (units, units).

    Returns:
        The radius, computed in float64.
    """
    return float(np.abs(np.linalg.eigvals(np.asarray(matrix, np.float64))).max())


def echo_matrix(units: int, radius: float, connectivity: float, rng: np.random.Generator) -> Matrix:
    """Draws a sparse matrix with a given spectral radius.

    Each unit listens to `max(1, round(connectivity * units))` units. With at least one each, following who listens to
    whom ends in a cycle, so that the radius is not zero and can be scaled.

    Args:
        units: Rows and columns.
        radius: Its largest absolute eigenvalue, in float64 of the float32 numbers that are returned.
        connectivity: Share of the entries that are not zero.
        rng: Where the numbers come from.

    Returns:
        (units, units): row i holds what unit i sends.
    """
    count = max(1, round(connectivity * units))
    matrix = np.zeros((units, units))
    for column in range(units):
        matrix[rng.choice(units, count, replace=False), column] = rng.normal(size=count)
    scale, best = radius / spectral_radius(matrix), (np.inf, matrix.astype(np.float32))
    # Rounding to float32 moves the eigenvalues by about 1e-7; another scale rounds otherwise.
    for _ in range(_ROUNDS):
        rounded = (matrix * scale).astype(np.float32)
        measured = spectral_radius(rounded)
        best = min(best, (abs(measured - radius), rounded), key=lambda pair: pair[0])
        if best[0] <= _CLOSE * max(radius, 1) or radius == 0:
            break
        scale *= 1 + (radius - measured) / radius
    return best[1]


def input_matrix(features: int, units: int, scaling: float, connectivity: float, rng: np.random.Generator) -> Matrix:
    """Draws input weights, uniform in [-scaling, scaling], of which a share is not zero.

    Args:
        features: Rows.
        units: Columns.
        scaling: The largest absolute weight.
        connectivity: How likely a weight is not zero.
        rng: Where the numbers come from.

    Returns:
        (features, units).
    """
    weights = rng.uniform(-scaling, scaling, (features, units))
    return (weights * (rng.random((features, units)) < connectivity)).astype(np.float32)


def liquid_matrix(units: int, excitatory: float, reach: float, scaling: float, rng: np.random.Generator) -> Matrix:
    """Draws the synapses of a column of spiking neurons (Maass, Natschlaeger & Markram 2002, appendix B).

    The neurons stand on a grid of 3 x 3 x units / 9. Neuron a reaches b with probability C exp(-(distance / reach)^2);
    C and the mean strength depend on which of the two are excitatory. Strengths are Gamma-distributed, their standard
    deviation equal to their mean; what an inhibitory neuron sends is negative.

    Args:
        units: Number of neurons.
        excitatory: Share of them that is excitatory.
        reach: The distance lambda over which connections thin out, in grid steps.
        scaling: Mean strength from an excitatory neuron to another.
        rng: Where the numbers come from.

    Returns:
        (units, units): row i holds what neuron i sends.
    """
    order = np.arange(units)
    place = np.stack([order // 9, order // 3 % 3, order % 3], axis=-1)
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    kind = np.zeros(units, int)
    kind[rng.permutation(units)[round(excitatory * units) :]] = 1
    pair = kind[:, None], kind[None]
    # [from][to], 0 excitatory, 1 inhibitory: 30, 60, -19 and -19 nA in the paper, here in units of the first.
    probability = np.array([[0.3, 0.2], [0.4, 0.1]])[pair] * np.exp(-np.square(distance / reach))
    strength = np.array([[1.0, 2.0], [-19 / 30, -19 / 30]])[pair] * scaling
    drawn = rng.gamma(1.0, size=(units, units)) * (rng.random((units, units)) < probability)
    np.fill_diagonal(drawn, 0.0)
    weights: Matrix = (strength * drawn).astype(np.float32)
    return weights
