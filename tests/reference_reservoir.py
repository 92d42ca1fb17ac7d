"""Reservoirs and linear readouts in NumPy, float64, written from the papers: what the zoo's are compared with."""

import numpy as np

Array = np.ndarray


def echo_states(x: Array, w_in: Array, w: Array, b: Array, leak: float, mask: Array | None = None) -> Array:
    """Leaky tanh units, one sample and one step at a time: x (batch, time, features) -> (batch, time, units)."""
    states = np.zeros((*x.shape[:2], len(w)))
    for row in range(len(x)):
        h = np.zeros(len(w))
        for t in range(x.shape[1]):
            if mask is None or mask[row, t]:
                h = (1 - leak) * h + leak * np.tanh(w_in.T @ x[row, t] + w.T @ h + b)
            states[row, t] = h
    return states


def spikes(
    x: Array,
    w_in: Array,
    w: Array,
    membrane: float,
    synapse: float,
    refractory: int,
    threshold: float,
    background: float,
) -> tuple[Array, Array]:
    """Leaky integrate-and-fire neurons, one by one: -> (spikes, traces), each (batch, time, units)."""
    units = len(w)
    fired, traces = np.zeros((2, *x.shape[:2], units))
    for row in range(len(x)):
        v, c, p, last = np.zeros(units), np.zeros(units), np.zeros(units), np.full(units, -(10**9))
        for t in range(x.shape[1]):
            for n in range(units):
                resting = t - last[n] <= refractory
                drive = c[n] + x[row, t] @ w_in[:, n] + background
                v[n] = 0.0 if resting else np.exp(-1 / membrane) * v[n] + drive
                if v[n] >= threshold:
                    fired[row, t, n], v[n], last[n] = 1.0, 0.0, t
            c = np.exp(-1 / synapse) * c + w.T @ fired[row, t]
            p = np.exp(-1 / synapse) * p + fired[row, t]
            traces[row, t] = p
    return fired, traces


def ridge_solution(x: Array, y: Array, ridge: float, weights: Array | None = None) -> tuple[Array, Array]:
    """Weighted ridge regression by centred normal equations, the intercept not held back: -> (W, c)."""
    weights = np.ones(len(x)) if weights is None else weights
    mean_x, mean_y = np.average(x, axis=0, weights=weights), np.average(y, axis=0, weights=weights)
    centred = (x - mean_x) * weights[:, None]
    w = np.linalg.solve(centred.T @ (x - mean_x) + ridge * np.eye(x.shape[1]), centred.T @ (y - mean_y))
    return w, mean_y - mean_x @ w
