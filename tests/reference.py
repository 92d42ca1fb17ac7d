"""The equations of the zoo in NumPy, written from the papers and independent of Keras: what tests compare with.

Arrays are batch-major: x is (batch, time, features), a state (batch, units), a mask (batch, time).
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
States = tuple[Array, ...]
Step = Callable[[Array, States], States]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def simple_rnn_step(x: Array, states: States, w: Array, u: Array, b: Array) -> States:
    """h' = tanh(x W + h U + b)."""
    (h,) = states
    return (np.tanh(x @ w + h @ u + b),)


def lstm_step(x: Array, states: States, w: Array, u: Array, b: Array) -> States:
    """Gates in the order i f g o, side by side in W, U and b."""
    h, c = states
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x: Array, states: States, w: Array, u: Array, b: Array, reset_after: bool = True) -> States:
    """Gates in the order z r g; with `reset_after` b is (2, 3 units): for the input and for the state."""
    (h,) = states
    units = h.shape[-1]
    b_x, b_h = b if reset_after else (b, np.zeros_like(b))
    x_z, x_r, x_g = np.split(x @ w + b_x, 3, axis=-1)
    h_z, h_r = np.split(h @ u[:, : 2 * units] + b_h[: 2 * units], 2, axis=-1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    u_g = u[:, 2 * units :]
    recurrent = r * (h @ u_g + b_h[2 * units :]) if reset_after else (r * h) @ u_g
    return (z * h + (1 - z) * np.tanh(x_g + recurrent),)


WEIGHTS = {"simple_rnn": 3, "lstm": 3, "gru": 3}
STATES = {"simple_rnn": 1, "lstm": 2, "gru": 1}
STEPS: dict[str, Callable[..., States]] = {"simple_rnn": simple_rnn_step, "lstm": lstm_step, "gru": gru_step}


def unroll(step: Step, x: Array, states: States, mask: Array | None = None) -> Array:
    """Runs a step over time; a masked step leaves every state as it was. Returns each h, (batch, time, units)."""
    outputs = []
    for t in range(x.shape[1]):
        new = step(x[:, t], states)
        if mask is not None:
            new = tuple(np.where(mask[:, t, None], after, before) for after, before in zip(new, states, strict=True))
        states = new
        outputs.append(states[0])
    return np.stack(outputs, axis=1)


def recurrence(cell: str, x: Array, weights: list[Array], mask: Array | None = None, reverse: bool = False) -> Array:
    """Every hidden state of one layer, from zero; `reverse` reads from the end and answers in the input's order."""
    weights = [np.asarray(weight, np.float64) for weight in weights]
    units = weights[1].shape[0]
    states = tuple(np.zeros((x.shape[0], units)) for _ in range(STATES[cell]))
    step = functools.partial(_apply, STEPS[cell], weights)
    if not reverse:
        return unroll(step, x, states, mask)
    return unroll(step, x[:, ::-1], states, None if mask is None else mask[:, ::-1])[:, ::-1]


def _apply(step: Callable[..., States], weights: list[Array], x: Array, states: States) -> States:
    return step(x, states, *weights)


def last_valid(h: Array, mask: Array) -> Array:
    """The state after the last step of each row that is no padding."""
    last = [int(np.flatnonzero(row)[-1]) for row in mask]
    return h[np.arange(len(h)), last]


def dense(x: Array, weights: list[Any]) -> Array:
    return x @ np.asarray(weights[0], np.float64) + np.asarray(weights[1], np.float64)
