"""Backpropagation through time in windows, against the equations in NumPy."""

import keras
import numpy as np
import pytest

from tests import reference
from zoo.training import ResetStates, Windows, carry_states

STREAMS, TIME, FEATURES, UNITS = 4, 12, 3, 5
X = np.random.default_rng(0).normal(size=(STREAMS, TIME, FEATURES)).astype("float32")
Y = np.random.default_rng(1).normal(size=(STREAMS, TIME, UNITS)).astype("float32")


def network(cell: str = "SimpleRNN", seed: int = 2) -> keras.Model:
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, getattr(keras.layers, cell)(UNITS, return_sequences=True, name="rnn")(inputs))
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    return model


def trained(model: keras.Model, window: int, batch_size: int, rate: float) -> list[np.ndarray]:
    twin, windows = carry_states(model, batch_size), Windows(X, Y, window=window, batch_size=batch_size)
    twin.compile(keras.optimizers.SGD(rate), loss="mse")
    twin.fit(windows, epochs=1, shuffle=False, verbose=0, callbacks=[ResetStates(windows)])
    return [np.asarray(weight, np.float64) for weight in model.get_weights()]


def by_hand(window: int, batch_size: int, rate: float) -> list[np.ndarray]:
    """SGD on one window after the other; the gradient stops where a window begins, the state does not."""
    w, u, b = (np.asarray(weight, np.float64) for weight in network().get_weights())
    for first in range(0, STREAMS, batch_size):
        before = np.zeros((batch_size, UNITS))
        for start in range(0, TIME, window):
            x = X[first : first + batch_size, start : start + window].astype(np.float64)
            y, states = Y[first : first + batch_size, start : start + window], [before]
            for t in range(x.shape[1]):
                states.append(np.tanh(x[:, t] @ w + states[-1] @ u + b))
            h, carried = np.stack(states, axis=1), np.zeros((batch_size, UNITS))
            d_w, d_u, d_b = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
            for t in reversed(range(x.shape[1])):
                delta = (2 * (h[:, t + 1] - y[:, t]) / y.size + carried) * (1 - h[:, t + 1] ** 2)
                d_w, d_u, d_b = d_w + x[:, t].T @ delta, d_u + h[:, t].T @ delta, d_b + delta.sum(0)
                carried = delta @ u.T
            w, u, b = w - rate * d_w, u - rate * d_u, b - rate * d_b
            before = h[:, -1]
    return [w, u, b]


@pytest.mark.parametrize(("window", "batch_size"), [(1, 4), (4, 4), (4, 2), (6, 1), (12, 4), (99, 1)])
def test_windows_train_as_the_equations_say(window: int, batch_size: int) -> None:
    got = trained(network(), window, batch_size, rate=0.5)
    for framework, hand in zip(got, by_hand(window, batch_size, rate=0.5), strict=True):
        np.testing.assert_allclose(framework, hand, atol=2e-6)


@pytest.mark.parametrize("cell", ["SimpleRNN", "LSTM", "GRU"])
def test_a_window_as_long_as_the_stream_is_full_backpropagation(cell: str) -> None:
    full = network(cell)
    full.compile(keras.optimizers.SGD(0.5), loss="mse")
    full.fit(X, Y, batch_size=STREAMS, epochs=1, shuffle=False, verbose=0)
    windowed = trained(network(cell), TIME, STREAMS, rate=0.5)
    short = trained(network(cell), 3, STREAMS, rate=0.5)
    for one, other, cut in zip(full.get_weights(), windowed, short, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
        assert np.abs(one - cut).max() > 1e-4


@pytest.mark.parametrize("cell", ["SimpleRNN", "LSTM", "GRU"])
def test_states_are_carried_and_reset(cell: str) -> None:
    model = network(cell)
    twin, windows = carry_states(model, 2), Windows(X, Y, window=4, batch_size=2)
    twin.compile(loss="mse")
    callback = ResetStates(windows)
    assert windows.per_stream == 3
    assert len(windows) == 6
    for _ in range(2):
        parts = []
        callback.set_model(twin)
        for i in range(len(windows)):
            callback.on_predict_batch_begin(i)
            parts.append(np.asarray(twin(windows[i][0])))
        streams = [np.concatenate(parts[i : i + 3], axis=1) for i in (0, 3)]
        np.testing.assert_allclose(np.concatenate(streams), model(X), atol=1e-6)
    # Evaluating twice gives the same: every stream starts from zero, whatever was before.
    first = twin.evaluate(windows, verbose=0, callbacks=[callback])
    assert twin.evaluate(windows, verbose=0, callbacks=[callback]) == pytest.approx(first, rel=1e-6)


def test_the_twin_shares_the_weights() -> None:
    model = network("LSTM")
    twin = carry_states(model, 2)
    assert [id(weight) for weight in twin.trainable_weights] == [id(weight) for weight in model.trainable_weights]


def test_windows_out_of_order_are_refused() -> None:
    windows = Windows(X, Y, window=3, batch_size=2)
    windows[0], windows[1]
    with pytest.raises(ValueError, match="window 5 follows window 1: call fit with shuffle=False"):
        windows[5]


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="4 streams don't fill batches of 3: leave some out"):
        Windows(X, Y, window=3, batch_size=3)
    with pytest.raises(ValueError, match=r"same streams and steps in front, got \[\(4, 11\), \(4, 12\)\]"):
        Windows(X, Y[:, 1:], window=3, batch_size=2)
    with pytest.raises(ValueError, match="window and batch_size must be at least 1, got 0 and 2"):
        Windows(X, Y, window=0, batch_size=2)
    with pytest.raises(ValueError, match="windows of 5 don't fill 12 steps: leave 2 out"):
        Windows(X, Y, window=5, batch_size=2)
    with pytest.raises(ValueError, match="a stream has at least one window, got 0"):
        ResetStates(0)
    inputs = keras.Input((None, FEATURES))
    both = keras.layers.Bidirectional(keras.layers.LSTM(3), name="both")
    with pytest.raises(ValueError, match="reader can't read in windows: layer 'both' reads its sequence backwards"):
        carry_states(keras.Model(inputs, both(inputs), name="reader"), 2)


def test_the_oracle_with_one_window_is_the_reference() -> None:
    w, u, b = (np.asarray(weight, np.float64) for weight in network().get_weights())
    upstream = 2 * (reference.recurrence("simple_rnn", X, [w, u, b]) - Y) / Y.size
    expected = reference.simple_rnn_gradients(X, [w, u, b], upstream)
    for before, gradient, after in zip((w, u, b), expected, by_hand(TIME, STREAMS, rate=0.5), strict=False):
        np.testing.assert_allclose(before - 0.5 * gradient, after, atol=1e-12)
