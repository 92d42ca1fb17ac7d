"""Depth: each level and each added layer against the equations."""

from typing import Any

import keras
import numpy as np
import pytest

from tests import reference
from tests.zoo.support import build, call

X = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
TIGHT = {"atol": 2e-6, "rtol": 1e-5}


def randomised(name: str, fields: dict[str, Any]) -> tuple[keras.Model, list[np.ndarray]]:
    model, rng = build(name, fields), np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    return model, [np.asarray(weight, np.float64) for weight in model.get_weights()]


@pytest.mark.parametrize("connections", ["plain", "residual", "skip"])
@pytest.mark.parametrize("units", [(5, 5, 5), (5, 3, 2)], ids=str)
def test_levels_join_as_named(connections: str, units: tuple[int, ...]) -> None:
    fields = {"features": 4, "classes": 2, "units": units, "cell": "gru", "connections": connections}
    model, _ = randomised("stacked_rnn", fields)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    levels: list[np.ndarray] = []
    for i in range(1, 4):
        below = levels[-1] if levels else X
        if connections == "skip" and levels:
            below = np.concatenate([below, X], -1)
        level = reference.recurrence("gru", below, weights[f"gru_{i}"])
        if connections == "residual" and levels:
            level = level + (levels[-1] @ weights[f"project_{i}"][0] if f"project_{i}" in weights else levels[-1])
        levels.append(level)
    top = np.concatenate(levels, -1) if connections == "skip" else levels[-1]
    np.testing.assert_allclose(call(model, {"features": X}), reference.dense(top, weights["logits"]), **TIGHT)


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("depth", [2, 3])
def test_deep_transition_equals_the_equations(depth: int, shortcut: bool) -> None:
    fields = {"features": 4, "classes": 2, "units": 5, "transition_depth": depth, "shortcut": shortcut}
    model, (w, u, b, *rest) = randomised("deep_transition_rnn", {**fields, "input_depth": 2, "output_depth": 2})
    to_state, to_output, head = [w, u], rest[-4:-2], rest[-2:]
    w, u, b, *deeper = b, *rest[:-4]
    h, outputs = np.zeros((3, 5)), []
    for t in range(6):
        z = np.tanh(reference.dense(X[:, t], to_state)) @ w + h @ u + b
        for level in range(depth - 1):
            z = np.tanh(z) @ deeper[2 * level] + deeper[2 * level + 1]
        h = np.tanh(z + h @ deeper[-1] if shortcut else z)
        outputs.append(reference.dense(np.tanh(reference.dense(h, to_output)), head))
    np.testing.assert_allclose(call(model, {"features": X}), np.stack(outputs, 1), **TIGHT)


def test_a_transition_of_depth_one_is_the_plain_rnn() -> None:
    fields = {"features": 4, "classes": 2, "units": 5, "transition_depth": 1, "shortcut": False}
    model, weights = randomised("deep_transition_rnn", fields)
    expected = reference.dense(reference.recurrence("simple_rnn", X, weights[:3]), weights[3:])
    np.testing.assert_allclose(call(model, {"features": X}), expected, **TIGHT)


def test_a_shortcut_needs_something_to_skip() -> None:
    with pytest.raises(ValueError, match=r"depth must be at least 2 \(shortcut=True\), got 1"):
        build("deep_transition_rnn", {"features": 4, "classes": 2, "transition_depth": 1})
