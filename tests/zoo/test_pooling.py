"""Pooling over time: against NumPy, with padding anywhere and rows that are nothing else."""

from typing import Any

import keras
import numpy as np
import pytest

from tests import reference
from tests.zoo.support import build, call
from zoo import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 5)).astype("float32")
MASK = np.array([[1] * 6, [1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0], [0] * 6], bool)


def rows(pool: Any) -> np.ndarray:
    return np.stack([pool(x[m]) if m.any() else np.zeros(5) for x, m in zip(X, MASK, strict=True)])


def attention(weights: list[np.ndarray]) -> Any:
    kernel, bias, query = weights

    def pool(x: np.ndarray) -> np.ndarray:
        scores = np.exp(np.tanh(x @ kernel + bias) @ query)
        return (scores / scores.sum() * x).sum(0)

    return pool


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_mean_and_max_see_valid_steps_only(mode: str) -> None:
    layer = layers.MaskedPooling(mode)
    pool = {"mean": lambda x: x.mean(0), "max": lambda x: x.max(0)}[mode]
    np.testing.assert_allclose(layer(X, mask=MASK), rows(pool), atol=1e-6)
    np.testing.assert_allclose(layer(X), np.stack([pool(x) for x in X]), atol=1e-6)
    # All values negative: padding that counted as zero would be the maximum.
    np.testing.assert_allclose(layer(X - 9, mask=MASK)[:3], rows(lambda x: pool(x - 9))[:3], atol=1e-5)


def test_attention_sees_valid_steps_only() -> None:
    layer = layers.AttentionPooling()
    layer.build(X.shape)
    layer.set_weights([RNG.normal(size=weight.shape) for weight in layer.get_weights()])
    pool = attention(layer.get_weights())
    np.testing.assert_allclose(layer(X, mask=MASK), rows(pool), atol=1e-6)
    np.testing.assert_allclose(layer(X), np.stack([pool(x) for x in X]), atol=1e-6)
    # Scores far apart neither overflow nor vanish.
    layer.set_weights([weight * 300 for weight in layer.get_weights()])
    assert np.isfinite(np.asarray(layer(X, mask=MASK))).all()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode must be 'mean' or 'max', got 'sum'"):
        layers.MaskedPooling("sum")


@pytest.mark.parametrize("name", ["sequence_classifier", "sequence_regressor", "bidirectional_classifier"])
def test_builders_pool_the_states(name: str) -> None:
    size = "targets" if name == "sequence_regressor" else "classes"
    fields = {"features": 5, size: 2, "units": (4,), "cell": "gru", "mask_value": -7.0}
    x = np.where(MASK[..., None], X, np.float32(-7))
    for mode in ("mean", "max", "attention"):
        model = build(name, {**fields, "pooling": mode})
        model.set_weights([RNG.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
        weights = model.get_weights()
        pool = {"mean": lambda h: h.mean(0), "max": lambda h: h.max(0), "attention": attention(weights[-5:-2])}[mode]
        states = reference.recurrence("gru", X, weights[:3], MASK)
        if name == "bidirectional_classifier":
            backward = reference.recurrence("gru", X, weights[3:6], MASK, reverse=True)
            states = np.concatenate([states, backward], -1)
        nothing = np.zeros(states.shape[-1])  # where a row is all padding
        pooled = np.stack([pool(h[m]) if m.any() else nothing for h, m in zip(states, MASK, strict=True)])
        got = call(model, {"features": x})
        np.testing.assert_allclose(got, reference.dense(pooled, weights[-2:]), atol=1e-5)


@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul"])
def test_directions_merge_as_named(merge: str) -> None:
    fields = {"features": 5, "classes": 2, "units": (4,), "cell": "simple_rnn", "merge": merge}
    model = build("bidirectional_tagger", fields)
    weights = model.get_weights()
    forward = reference.recurrence("simple_rnn", X, weights[:3])
    backward = reference.recurrence("simple_rnn", X, weights[3:6], reverse=True)
    merged = {
        "concat": np.concatenate([forward, backward], -1),
        "sum": forward + backward,
        "ave": (forward + backward) / 2,
        "mul": forward * backward,
    }[merge]
    np.testing.assert_allclose(call(model, {"features": X}), reference.dense(merged, weights[6:]), atol=1e-5)


def test_half_precision_pools_without_overflow() -> None:
    layer = layers.MaskedPooling("max", dtype=keras.DTypePolicy("mixed_float16"))
    got = np.asarray(layer(X, mask=MASK), np.float32)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, rows(lambda x: x.max(0)), atol=2e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_pools_long_sequences(policy: str) -> None:
    rng = np.random.default_rng(5)
    x, mask = rng.normal(1.0, 0.1, size=(2, 70000, 3)).astype("float32"), rng.random((2, 70000)) < 0.9
    attention = layers.AttentionPooling(dtype=keras.DTypePolicy(policy))
    attention.build(x.shape)
    attention.set_weights([np.zeros_like(weight) for weight in attention.get_weights()])  # every step weighs the same
    wanted = np.stack([row[valid].mean(0) for row, valid in zip(x, mask, strict=True)])
    for layer in (layers.MaskedPooling("mean", dtype=keras.DTypePolicy(policy)), attention):
        got = keras.ops.convert_to_numpy(keras.ops.cast(layer(x, mask=mask), "float32"))
        np.testing.assert_allclose(got, wanted, atol=5e-3)
