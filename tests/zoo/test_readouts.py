"""Readouts solved at once and followed step by step, against ridge regression and the rules in NumPy."""

from typing import Any

import keras
import numpy as np
import pytest

from tests import reference_reservoir as reference
from tests.zoo.reservoirs import ESN, RNG, X, states_of
from tests.zoo.support import build
from zoo import reservoir
from zoo.layers import EchoStateCell


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 1.0])
def test_the_closed_form_equals_ridge_regression(ridge: float) -> None:
    model, y = build("echo_state_network", ESN), RNG.normal(size=(3, 25, 3))
    weights = RNG.integers(0, 3, (3, 25)).astype(float)
    reservoir.fit_readout(model, X, y, ridge=ridge, washout=4, sample_weight=weights, batch_size=2)
    seen = np.concatenate([states_of(model, X), X], axis=-1)[:, 4:].reshape(-1, 22)
    w, c = reference.ridge_solution(seen, y[:, 4:].reshape(-1, 3), ridge, weights[:, 4:].reshape(-1))
    kernel, bias = model.get_layer("predictions").get_weights()
    np.testing.assert_allclose(kernel, w, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(bias, c, atol=1e-4, rtol=1e-4)


def test_the_closed_form_serves_any_model_and_leaves_padding_out() -> None:
    inputs = {name: keras.Input((None, 2), name=name) for name in ("left", "right")}
    x = keras.layers.Masking(9.0)(keras.layers.Concatenate()([inputs["left"], inputs["right"]]))
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(x))
    data = {name: RNG.normal(size=(4, 6, 2)).astype("float32") for name in inputs}
    y = (data["left"] @ [1.0, -2.0] + data["right"] @ [0.5, 3.0] + 0.25)[..., None]
    data["left"][:, 4:], data["right"][:, 4:], y[:, 4:] = 9.0, 9.0, 1e6
    reservoir.fit_readout(model, data, y, readout="out", ridge=0.0)
    kernel, bias = model.get_layer("out").get_weights()
    np.testing.assert_allclose(kernel[:, 0], [1.0, -2.0, 0.5, 3.0], atol=1e-5)
    np.testing.assert_allclose(bias, [0.25], atol=1e-5)


def test_one_target_for_a_sequence_is_solved_too() -> None:
    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.RNN(EchoStateCell(8))(inputs)))
    name, y = model.layers[-1].name, RNG.normal(size=(3, 1))
    reservoir.fit_readout(model, X, y, readout=name, ridge=1e-9)
    np.testing.assert_allclose(model.predict(X, verbose=0), y, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"readout": "prediction"}, "has no layer 'prediction'"),
        ({"readout": "reservoir"}, "must be a Dense layer without activation, got RNN"),
        ({"ridge": -1.0}, "ridge must be at least 0"),
        ({"targets": np.zeros((3, 24, 3))}, r"targets must be \(3, 25, 3\), got \(3, 24, 3\)"),
    ],
)
def test_what_cannot_be_solved_is_said(change: dict[str, Any], message: str) -> None:
    targets = change.pop("targets", np.zeros((3, 25, 3)))
    with pytest.raises(ValueError, match=message):
        reservoir.fit_readout(build("echo_state_network", ESN), X, targets, **change)


def test_recursive_least_squares_is_the_closed_form_at_each_moment() -> None:
    model, y = build("echo_state_network", ESN), RNG.normal(size=(3, 25, 3))
    online = reservoir.OnlineReadout(model, ridge=0.1)
    for stop in (1, 3):
        online.update(X[stop // 3 : stop], y[stop // 3 : stop], washout=2)
        got = model.get_layer("predictions").get_weights()
        reservoir.fit_readout(model, X[:stop], y[:stop], ridge=0.1, washout=2)
        for value, wanted in zip(got, model.get_layer("predictions").get_weights(), strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-4)


def test_least_mean_squares_equals_its_rule() -> None:
    model, y = build("echo_state_network", {**ESN, "input_to_readout": False}), RNG.normal(size=(1, 25, 3))
    kernel, bias = (np.array(weight, np.float64) for weight in model.get_layer("predictions").get_weights())
    online = reservoir.OnlineReadout(model, rule="lms", rate=0.05)
    errors = online.update(X[:1], y)
    for t, h in enumerate(states_of(model, X[:1])[0]):
        error = y[0, t] - h @ kernel - bias
        np.testing.assert_allclose(errors[0, t], error, atol=1e-5)
        kernel, bias = kernel + 0.05 * np.outer(h, error), bias + 0.05 * error
    np.testing.assert_allclose(model.get_layer("predictions").get_weights()[0], kernel, atol=1e-5)


def test_forgetting_follows_a_system_that_changes() -> None:
    x = RNG.uniform(-1, 1, (1, 600, 1)).astype("float32")
    y = np.where(np.arange(600) < 300, 1.0, -1.0)[None, :, None] * np.roll(x, 1, axis=1)
    errors = {}
    for forgetting in (1.0, 0.95):
        model = build("echo_state_network", {"features": 1, "units": 15, "connectivity": 0.3})
        online = reservoir.OnlineReadout(model, forgetting=forgetting, ridge=1e-3)
        errors[forgetting] = np.abs(online.update(x, y)[0, 500:]).mean()
    assert errors[0.95] < 0.1 * errors[1.0]


def test_wrong_rules_are_refused() -> None:
    model = build("echo_state_network", ESN)
    for options in ({"rule": "sgd"}, {"forgetting": 0.0}, {"forgetting": 1.1}, {"ridge": 0.0}, {"rate": 0.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            reservoir.OnlineReadout(model, **options)
