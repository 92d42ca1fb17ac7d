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


def forget_bias_lstm_step(x: Array, states: States, w: Array, u: Array, b: Array) -> States:
    """The forget gate stays open by a constant 1 beside its bias."""
    one = np.repeat([0.0, 1.0, 0.0, 0.0], u.shape[0])
    return lstm_step(x, states, w, u, b + one)


def peephole_lstm_step(x: Array, states: States, w: Array, u: Array, b: Array, p: Array) -> States:
    """Gates see the cell: i and f the old one, o the new one (Gers et al. 2002)."""
    h, c = states
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=-1)
    i, f = sigmoid(i + p[0] * c), sigmoid(f + p[1] * c)
    c = f * c + i * np.tanh(g)
    return sigmoid(o + p[2] * c) * np.tanh(c), c


def coupled_lstm_step(x: Array, states: States, w: Array, u: Array, b: Array) -> States:
    """Gates in the order f g o; the input gate is 1 - f (Greff et al. 2017)."""
    h, c = states
    f, g, o = np.split(x @ w + h @ u + b, 3, axis=-1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def normalised(v: Array, epsilon: float = 1e-5) -> Array:
    return (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + epsilon)


def layer_norm_lstm_step(
    x: Array, states: States, w: Array, u: Array, b: Array, s_x: Array, s_h: Array, s_c: Array, b_c: Array
) -> States:
    """Ba et al. 2016, equations 20-22."""
    h, c = states
    i, f, g, o = np.split(normalised(x @ w) * s_x + normalised(h @ u) * s_h + b, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(normalised(c) * s_c + b_c), c


def gru_reset_before_step(x: Array, states: States, w: Array, u: Array, b: Array) -> States:
    """The reset gate before the product, as in Cho et al. 2014."""
    return gru_step(x, states, w, u, b, reset_after=False)


def minimal_gated_step(x: Array, states: States, w: Array, u: Array, b: Array) -> States:
    """Gates in the order f g (Zhou et al. 2016)."""
    (h,) = states
    units = h.shape[-1]
    f = sigmoid(x @ w[:, :units] + h @ u[:, :units] + b[:units])
    g = np.tanh(x @ w[:, units:] + (f * h) @ u[:, units:] + b[units:])
    return ((1 - f) * h + f * g,)


STEPS: dict[str, Callable[..., States]] = {
    "simple_rnn": simple_rnn_step,
    "lstm": lstm_step,
    "lstm_forget_bias": forget_bias_lstm_step,
    "lstm_peephole": peephole_lstm_step,
    "lstm_coupled": coupled_lstm_step,
    "lstm_layer_norm": layer_norm_lstm_step,
    "gru": gru_step,
    "gru_reset_before": gru_reset_before_step,
    "minimal_gated": minimal_gated_step,
}
WEIGHTS = dict.fromkeys(STEPS, 3) | {"lstm_peephole": 4, "lstm_layer_norm": 7}
"""How many weights a layer of the cell has, in the order of its step's arguments."""
STATES = {cell: 2 if "lstm" in cell else 1 for cell in STEPS}


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


def simple_rnn_gradients(x: Array, weights: list[Array], upstream: Array) -> list[Array]:
    """Backpropagation through time by hand (Goodfellow et al. 2016, section 10.2.2).

    For a loss L with `upstream[:, t]` the part of dL/dh_t that does not pass through h_{t+1}:
    delta_t = (upstream_t + delta_{t+1} U^T) * (1 - h_t^2); dL/dW = sum_t x_t^T delta_t,
    dL/dU = sum_t h_{t-1}^T delta_t, dL/db = sum_t delta_t, dL/dx_t = delta_t W^T. Returns [dW, dU, db, dx].
    """
    w, u, b = (np.asarray(weight, np.float64) for weight in weights)
    h = recurrence("simple_rnn", x, [w, u, b])
    before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    delta, carried = np.zeros_like(h), np.zeros_like(h[:, 0])
    for t in reversed(range(x.shape[1])):
        delta[:, t] = (upstream[:, t] + carried) * (1 - h[:, t] ** 2)
        carried = delta[:, t] @ u.T
    return _weight_gradients(x, before, delta, w)


def lstm_gradients(x: Array, weights: list[Array], upstream: Array) -> list[Array]:
    """Backpropagation through time by hand for the LSTM. Returns [dW, dU, db, dx].

    dc_t = dh_t o tanh'(c_t) + dc_{t+1} f_{t+1}; the gates' deltas follow from c_t = f c_{t-1} + i g and
    h_t = o tanh(c_t), with sigmoid' = s (1 - s) and tanh' = 1 - tanh^2.
    """
    w, u, b = (np.asarray(weight, np.float64) for weight in weights)
    units, steps = u.shape[0], x.shape[1]
    h, c = np.zeros((x.shape[0], steps + 1, units)), np.zeros((x.shape[0], steps + 1, units))
    gates = np.zeros((x.shape[0], steps, 4, units))
    for t in range(steps):
        i, f, g, o = np.split(x[:, t] @ w + h[:, t] @ u + b, 4, axis=-1)
        gates[:, t] = np.stack([sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)], axis=1)
        i, f, g, o = gates[:, t].transpose(1, 0, 2)
        c[:, t + 1] = f * c[:, t] + i * g
        h[:, t + 1] = o * np.tanh(c[:, t + 1])
    delta = np.zeros((x.shape[0], steps, 4 * units))
    dh, dc = np.zeros_like(h[:, 0]), np.zeros_like(h[:, 0])
    for t in reversed(range(steps)):
        i, f, g, o = gates[:, t].transpose(1, 0, 2)
        squashed = np.tanh(c[:, t + 1])
        dh = upstream[:, t] + dh
        dc = dc + dh * o * (1 - squashed**2)
        parts = dc * g * i * (1 - i), dc * c[:, t] * f * (1 - f), dc * i * (1 - g**2), dh * squashed * o * (1 - o)
        delta[:, t] = np.concatenate(parts, axis=-1)
        dh, dc = delta[:, t] @ u.T, dc * f
    return _weight_gradients(x, h[:, :-1], delta, w)


def gru_gradients(x: Array, weights: list[Array], upstream: Array) -> list[Array]:
    """Backpropagation through time by hand for the GRU with the reset after the product. Returns [dW, dU, db, dx].

    h_t = z h_{t-1} + (1 - z) g, g = tanh(x W_g + b_x + r q), q = h_{t-1} U_g + b_h: the path through q takes the factor
    r, so the deltas of the input's and the state's side differ in the third gate.
    """
    w, u, b = (np.asarray(weight, np.float64) for weight in weights)
    units, h = u.shape[0], recurrence("gru", x, weights)
    before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    x_z, x_r, x_g = np.split(x @ w + b[0], 3, axis=-1)
    h_z, h_r, q = np.split(before @ u + b[1], 3, axis=-1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    g = np.tanh(x_g + r * q)
    to_x, to_h = np.zeros((*x.shape[:2], 3 * units)), np.zeros((*x.shape[:2], 3 * units))
    dh = np.zeros_like(h[:, 0])
    for t in reversed(range(x.shape[1])):
        dh = upstream[:, t] + dh
        d_g = dh * (1 - z[:, t]) * (1 - g[:, t] ** 2)
        d_z = dh * (before[:, t] - g[:, t]) * z[:, t] * (1 - z[:, t])
        d_r = d_g * q[:, t] * r[:, t] * (1 - r[:, t])
        to_x[:, t] = np.concatenate([d_z, d_r, d_g], axis=-1)
        to_h[:, t] = np.concatenate([d_z, d_r, d_g * r[:, t]], axis=-1)
        dh = dh * z[:, t] + to_h[:, t] @ u.T
    d_w, _, d_b_x, d_x = _weight_gradients(x, before, to_x, w)
    _, d_u, d_b_h, _ = _weight_gradients(x, before, to_h, w)
    return [d_w, d_u, np.stack([d_b_x, d_b_h]), d_x]


def _weight_gradients(x: Array, before: Array, delta: Array, w: Array) -> list[Array]:
    d_w = np.einsum("btf,btu->fu", x, delta)
    d_u = np.einsum("btf,btu->fu", before, delta)
    return [d_w, d_u, delta.sum((0, 1)), delta @ w.T]


GRADIENTS: dict[str, Callable[[Array, list[Array], Array], list[Array]]] = {
    "simple_rnn": simple_rnn_gradients,
    "lstm": lstm_gradients,
    "gru": gru_gradients,
}
