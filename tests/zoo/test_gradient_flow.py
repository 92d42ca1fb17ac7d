"""The recorded gradients against backpropagation through time by hand, and finite differences."""

from typing import Any

import keras
import numpy as np
import pytest

from tests import reference
from zoo.cells import CELLS
from zoo.layers import TimeSkipCell
from zoo.training import GradientFlow, state_gradients

X = np.random.default_rng(0).normal(size=(3, 9, 4)).astype("float32")
TARGETS = np.random.default_rng(1).normal(size=(3, 9, 5)).astype("float32")


def by_hand(layer: Any, upstream: np.ndarray) -> np.ndarray:
    """For the plain cell: dL/dh_t = upstream_t + (dL/dh_{t+1} (1 - h_{t+1}^2)) U^T."""
    w, u, b = (np.asarray(weight, np.float64) for weight in layer.get_weights())
    h = reference.recurrence("simple_rnn", X, [w, u, b])
    total = upstream.astype(np.float64).copy()
    for t in reversed(range(total.shape[1] - 1)):
        total[:, t] += (total[:, t + 1] * (1 - h[:, t + 1] ** 2)) @ u.T
    return total


def compiled(model: keras.Model) -> keras.Model:
    model.compile("sgd", loss="mse")
    return model


def one_layer(cell: str, **options: Any) -> keras.Model:
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, CELLS[cell](5, name="layer", return_sequences=True, **options)(inputs))
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(scale=0.6, size=weight.shape) for weight in model.get_weights()])
    return compiled(model)


def test_gradients_of_states_equal_the_hand_derived_ones() -> None:
    model = one_layer("simple_rnn")
    upstream = 2 * (np.asarray(model(X)) - TARGETS) / TARGETS.size
    got = state_gradients(model, X, TARGETS)
    assert list(got) == ["layer"]
    np.testing.assert_allclose(got["layer"], by_hand(model.get_layer("layer"), upstream), atol=1e-7)


@pytest.mark.parametrize("cell", list(CELLS))
def test_gradients_of_states_equal_finite_differences(cell: str) -> None:
    model = one_layer(cell)
    got, step, rng = state_gradients(model, X, TARGETS)["layer"], 1e-5, np.random.default_rng(3)
    weights = [np.asarray(weight, np.float64) for weight in model.get_weights()]

    def loss(place: tuple[int, int, int], addend: float) -> float:
        """The mean squared error when one number is added to one state, in the reference's float64."""
        states = tuple(np.zeros((3, 5)) for _ in range(reference.STATES[cell]))
        outputs = []
        for t in range(9):
            h, *others = reference.STEPS[cell](X[:, t], states, *weights)
            if t == place[1]:
                h = h.copy()
                h[place[0], place[2]] += addend
            states = (h, *others)
            outputs.append(h)
        return float(((np.stack(outputs, axis=1) - TARGETS) ** 2).mean())

    for _ in range(6):
        place = tuple(int(rng.integers(0, size)) for size in got.shape)
        slope = (loss(place, step) - loss(place, -step)) / (2 * step)
        assert got[place] == pytest.approx(slope, abs=1e-6, rel=1e-3)


def test_a_state_that_holds_earlier_outputs_too() -> None:
    """h_t is read at t + 1, and d steps on: dL/dh_t = upstream_t + g_{t+1} U^T + g_{t+d} V^T, g = dL/dh (1 - h^2)."""
    inputs = keras.Input((None, 4))
    layer = keras.layers.RNN(TimeSkipCell(5, 3), return_sequences=True, name="layer")
    model = compiled(keras.Model(inputs, layer(inputs)))
    recurrent, skip = (np.asarray(w, np.float64) for w in (layer.cell.recurrent_kernel, layer.cell.skip_kernel))
    h = np.asarray(model(X), np.float64)
    total = 2 * (h - TARGETS) / TARGETS.size
    for t in reversed(range(8)):
        for kernel, later in ((recurrent, t + 1), (skip, t + 3)):
            if later < 9:
                total[:, t] += (total[:, later] * (1 - h[:, later] ** 2)) @ kernel.T
    np.testing.assert_allclose(state_gradients(model, X, TARGETS)["layer"], total, atol=1e-6)


def test_padding_gets_no_gradient() -> None:
    inputs = keras.Input((None, 4))
    x = keras.layers.Masking(-1.0)(inputs)
    model = compiled(keras.Model(inputs, keras.layers.Dense(1)(keras.layers.LSTM(5, name="layer")(x))))
    padded = X.copy()
    padded[1, 4:] = -1
    got = state_gradients(model, padded, np.ones((3, 1)))["layer"]
    assert (got[1, 4:] == 0).all()
    assert (np.abs(got[1, :4]).max(axis=1) > 0).all()
    assert (np.abs(got[0]).max(axis=1) > 0).all()


def deep() -> keras.Model:
    inputs = keras.Input((None, 4))
    x = keras.layers.Bidirectional(keras.layers.LSTM(3, name="lstm", return_sequences=True), name="both")(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.3)(x))
    x = keras.layers.GRU(5, name="top", return_sequences=True, recurrent_dropout=0.2)(x)
    return compiled(keras.Model(inputs, keras.layers.Dense(5)(x)))


def test_every_recurrent_layer_is_recorded_and_nothing_is_changed() -> None:
    model = deep()
    before = [np.asarray(weight) for weight in model.variables]
    got = state_gradients(model, X, TARGETS)
    assert {name: value.shape for name, value in got.items()} == {
        "both/forward_lstm": (3, 9, 3),
        "both/backward_lstm": (3, 9, 3),
        "top": (3, 9, 5),
    }
    assert all(np.abs(value).max() > 0 for value in got.values())
    for weight, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_the_backward_direction_stands_in_the_order_of_the_input() -> None:
    inputs = keras.Input((None, 4))
    both = keras.layers.Bidirectional(keras.layers.SimpleRNN(5, name="rnn"), name="both", merge_mode="sum")
    model = compiled(keras.Model(inputs, both(inputs)))
    got = state_gradients(model, X, TARGETS[:, 0])
    forward, backward = got["both/forward_rnn"], got["both/backward_rnn"]
    upstream = 2 * (np.asarray(model(X)) - TARGETS[:, 0]) / TARGETS[:, 0].size
    # The loss touches the last state that each direction makes: at the end, and at the beginning.
    np.testing.assert_allclose(forward[:, -1], upstream, atol=1e-6)
    np.testing.assert_allclose(backward[:, 0], upstream, atol=1e-6)
    assert not np.allclose(backward[:, -1], upstream)


def test_the_recorder_sees_vanishing_and_exploding() -> None:
    slopes = {}
    keras.utils.set_random_seed(0)
    for scale in (0.3, 1.0, 3.0):
        inputs = keras.Input((None, 4))
        layer = keras.layers.SimpleRNN(5, name="layer", recurrent_initializer="orthogonal")
        model = compiled(keras.Model(inputs, layer(inputs)))
        kernel, recurrent, bias = layer.get_weights()
        # States so small that tanh stays a straight line: each step then scales the gradient by the same factor.
        layer.set_weights([1e-6 * kernel, scale * recurrent, bias])
        recorder = GradientFlow(X, TARGETS[:, 0], every=2)
        model.optimizer.learning_rate = 0.0
        model.fit(X, TARGETS[:, 0], epochs=3, verbose=0, callbacks=[recorder])
        assert [entry["epoch"] for entry in recorder.history] == [-1, 1]
        norms = recorder.history[-1]["norms"]["layer"]
        assert norms.shape == (9,)
        slopes[scale] = np.log(norms[4] / norms[-1]) / 4
    for scale, slope in slopes.items():
        assert slope == pytest.approx(np.log(scale), abs=0.01)


def test_the_norms_are_those_of_the_gradients() -> None:
    model, recorder = one_layer("lstm"), GradientFlow(X, TARGETS)
    expected = [state_gradients(model, X, TARGETS)["layer"]]
    model.fit(X, TARGETS, epochs=1, verbose=0, callbacks=[recorder])
    expected.append(state_gradients(model, X, TARGETS)["layer"])
    for entry, gradients in zip(recorder.history, expected, strict=True):
        np.testing.assert_allclose(entry["norms"]["layer"], np.linalg.norm(gradients, axis=(0, 2)), rtol=1e-4)


def test_what_cannot_be_recorded_is_refused() -> None:
    inputs = keras.Input((None, 4))
    rnn = keras.Model(inputs, keras.layers.LSTM(3)(inputs), name="rnn")
    with pytest.raises(ValueError, match="rnn has no loss to take the gradient of: compile it first"):
        state_gradients(rnn, X, TARGETS)
    plain = compiled(keras.Model(inputs, keras.layers.Dense(5)(inputs), name="plain"))
    with pytest.raises(ValueError, match="plain has no recurrent layer whose output is its state"):
        state_gradients(plain, X, TARGETS)
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        GradientFlow(X, TARGETS, every=0)
