"""Slow memories against their equations, and on a task that the plain recurrence fails."""

import time
from typing import Any

import keras
import numpy as np
import pytest

from tests import reference
from tests.zoo.support import build, call

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 11, 4)).astype("float32")
TIGHT = {"atol": 2e-6, "rtol": 1e-5}


def randomised(name: str, fields: dict[str, Any]) -> keras.Model:
    model, rng = build(name, {"features": 4, "classes": 2, **fields}), np.random.default_rng(1)
    for weight in model.weights:
        if weight.name != "rate":
            weight.assign(rng.normal(scale=0.4, size=weight.shape))
    return model


@pytest.mark.parametrize("learned", [False, True])
def test_each_unit_leaks_with_its_own_time_constant(learned: bool) -> None:
    model = randomised("leaky_rnn", {"units": 3, "shortest": 2.0, "longest": 50.0, "learned": learned})
    weights = model.get_layer("leaky").get_weights()
    w, u, b = weights[:3]
    share = 1 / np.array([2.0, 10.0, 50.0])
    rate = np.asarray(model.get_layer("leaky").cell.rate)
    np.testing.assert_allclose(reference.sigmoid(rate) if learned else rate, share, rtol=1e-5)
    assert any(weight is model.get_layer("leaky").cell.rate for weight in model.trainable_weights) == learned
    h = np.zeros((3, 3))
    states = []
    for t in range(11):
        h = (1 - share) * h + share * np.tanh(X[:, t] @ w + h @ u + b)
        states.append(h)
    expected = reference.dense(np.stack(states, 1), model.get_layer("logits").get_weights())
    np.testing.assert_allclose(call(model, {"features": X}), expected, **TIGHT)


def test_a_unit_with_time_constant_one_is_the_plain_rnn() -> None:
    model = randomised("leaky_rnn", {"units": 3, "shortest": 1.0, "longest": 1.0})
    h = reference.recurrence("simple_rnn", X, model.get_layer("leaky").get_weights()[:3])
    expected = reference.dense(h, model.get_layer("logits").get_weights())
    np.testing.assert_allclose(call(model, {"features": X}), expected, **TIGHT)


def test_time_constants_are_in_order() -> None:
    with pytest.raises(ValueError, match=r"time constants must be 1 <= shortest <= longest, got 9 and 3"):
        build("leaky_rnn", {"features": 4, "classes": 2, "shortest": 9.0, "longest": 3.0})


@pytest.mark.parametrize("delay", [2, 4, 20])
def test_skips_reach_back_d_steps(delay: int) -> None:
    model = randomised("time_skip_rnn", {"units": 3, "delay": delay})
    w, u, b, v = model.get_layer("time_skip").get_weights()
    states = [np.zeros((3, 3))] * delay
    for t in range(11):
        states.append(np.tanh(X[:, t] @ w + states[-1] @ u + states[-delay] @ v + b))
    expected = reference.dense(np.stack(states[delay:], 1), model.get_layer("logits").get_weights())
    np.testing.assert_allclose(call(model, {"features": X}), expected, **TIGHT)


@pytest.mark.parametrize("periods", [(1,), (1, 2, 4), (2, 3, 5)], ids=str)
def test_modules_tick_at_their_periods(periods: tuple[int, ...]) -> None:
    model = randomised("clockwork_rnn", {"units": 2, "periods": periods})
    parts = {period: model.get_layer(f"module_{period}").get_weights() for period in periods}
    h = {period: np.zeros((3, 2)) for period in periods}
    outputs = []
    for t in range(11):
        before = dict(h)
        for period in periods:
            if t % period == 0:
                w, u, b = parts[period]
                slower = [before[other] for other in reversed(periods) if other > period]
                h[period] = np.tanh(np.concatenate([X[:, t], *slower], -1) @ w + before[period] @ u + b)
        outputs.append(np.concatenate([h[period] for period in periods], -1))
    expected = reference.dense(np.stack(outputs, 1), model.get_layer("logits").get_weights())
    np.testing.assert_allclose(call(model, {"features": X}), expected, **TIGHT)


def test_periods_rise() -> None:
    with pytest.raises(ValueError, match=r"^clockwork_rnn: periods must rise, got \(2, 1\)$"):
        build("clockwork_rnn", {"features": 4, "classes": 2, "periods": (2, 1)})


def clockwork(periods: tuple[int, ...]) -> keras.Model:
    return build("clockwork_rnn", {"features": 4, "classes": 2, "units": 32, "periods": periods})


@pytest.mark.parametrize(
    ("periods", "steps"),
    [
        ((32, 64, 128, 256), 512 // 32 + 512 // 64 + 512 // 128 + 512 // 256),
        ((1, 2, 3, 4), 512 + 256 + 171 + 128),
    ],
)
def test_resting_modules_take_no_steps(periods: tuple[int, ...], steps: int) -> None:
    model = clockwork(periods)
    ticks = keras.Model(model.input, [model.get_layer(f"every_{period}").output for period in periods])
    x = RNG.normal(size=(16, 512, 4)).astype("float32")
    assert sum(part.shape[1] for part in keras.tree.flatten(ticks(x))) == steps


@pytest.mark.slow  # compares times, which a busy machine may turn around
def test_resting_modules_cost_nothing() -> None:
    x = RNG.normal(size=(16, 512, 4)).astype("float32")

    def seconds(periods: tuple[int, ...]) -> float:
        model = clockwork(periods)
        model.predict_on_batch(x)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            model.predict_on_batch(x)
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    assert seconds((1, 2, 3, 4)) > 3 * seconds((32, 64, 128, 256))


def remember(name: str, fields: dict[str, Any]) -> float:
    """Trains on: which of two inputs the first step showed, asked for 300 steps later. Returns the test accuracy."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 512)
    x = rng.normal(scale=0.3, size=(512, 300, 2)).astype("float32")
    x[np.arange(512), 0, first] += 3
    model = build(name, {"features": 2, "classes": 2, **fields})
    last = keras.Model(model.input, model.output[:, -1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    last.compile(keras.optimizers.Adam(3e-3, clipnorm=1.0), loss, jit_compile=True)
    for _ in range(144):
        rows = rng.integers(0, 384, 64)
        last.train_on_batch(x[rows], first[rows])
    return float((np.asarray(last(x[384:])).argmax(-1) == first[384:]).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("leaky_rnn", {"units": 16, "longest": 600.0}),
        ("leaky_rnn", {"units": 16, "longest": 600.0, "learned": True}),
        ("clockwork_rnn", {"units": 4, "periods": (1, 25, 50, 100)}),
        ("time_skip_rnn", {"units": 11, "delay": 75}),
    ],
)
def test_slow_memories_learn_what_the_plain_rnn_forgets(name: str, fields: dict[str, Any]) -> None:
    assert remember(name, fields) > 0.95


@pytest.mark.slow
def test_the_plain_rnn_forgets() -> None:
    # Of equal size: 338 weights; the others have 242 to 338, time constants aside.
    assert remember("sequence_tagger", {"units": (16,), "cell": "simple_rnn"}) < 0.75
