"""Outputs that come back: against the equations, and on tasks that need them."""

import time
from typing import Any

import keras
import numpy as np
import pytest

from tests import reference
from tests.zoo.support import build, call, train
from zoo.layers import FoldTime, TeacherForcing, UnfoldTime

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 7, 4)).astype("float32"), RNG.normal(size=(3, 7, 2)).astype("float32")
OUTPUT = {"features": 4, "targets": 2, "units": 5}
TIGHT = {"atol": 2e-6, "rtol": 1e-5}


def randomised(name: str, fields: dict[str, Any]) -> keras.Model:
    model, rng = build(name, fields), np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("recurrence", ["hidden-to-hidden", "output-to-hidden", "output-to-output"])
@pytest.mark.parametrize("forced", [False, True])
def test_what_comes_back_is_as_named(recurrence: str, forced: bool) -> None:
    if forced and recurrence == "hidden-to-hidden":
        pytest.skip("refused, see below")
    model = randomised("output_recurrent", {**OUTPUT, "recurrence": recurrence, "teacher_forcing": forced})
    w, v, u, b, c = (np.asarray(weight, np.float64) for weight in model.get_weights())
    outputs, h, o = [], np.zeros((3, 5)), np.zeros((3, 2))
    for t in range(7):
        back = {"hidden-to-hidden": h, "output-to-hidden": o, "output-to-output": o}[recurrence] @ u
        h = np.tanh(X[:, t] @ w + b + (0 if recurrence == "output-to-output" else back))
        o = h @ v + c + (back if recurrence == "output-to-output" else 0)
        outputs.append(o)
        o = Y[:, t] if forced else o
    got = call(model, {"features": X, "true_outputs": Y} if forced else {"features": X})
    np.testing.assert_allclose(got, np.stack(outputs, 1), **TIGHT)


@pytest.mark.parametrize("recurrence", ["output-to-hidden", "output-to-output"])
def test_true_outputs_of_padding_count_as_none(recurrence: str) -> None:
    model = randomised(
        "output_recurrent", {**OUTPUT, "recurrence": recurrence, "teacher_forcing": True, "mask_value": 9.0}
    )
    wanted = np.asarray(call(model, {"features": X, "true_outputs": Y}))
    x, y = (
        np.pad(X, ((0, 0), (2, 1), (0, 0)), constant_values=9),
        np.pad(Y, ((0, 0), (2, 1), (0, 0)), constant_values=5),
    )
    got = np.asarray(call(model, {"features": x, "true_outputs": y}))
    np.testing.assert_allclose(got[:, 2:-1], wanted, **TIGHT)


def test_teacher_forcing_needs_an_output_that_comes_back() -> None:
    with pytest.raises(
        ValueError, match="teacher forcing replaces an output that comes back; hidden-to-hidden has none"
    ):
        build("output_recurrent", {**OUTPUT, "recurrence": "hidden-to-hidden", "teacher_forcing": True})


@pytest.mark.slow  # compares times, which a busy machine may turn around
def test_teacher_forced_training_is_parallel_over_time() -> None:
    x, y = RNG.normal(size=(8, 600, 4)).astype("float32"), RNG.normal(size=(8, 600, 2)).astype("float32")

    def seconds(forced: bool) -> float:
        model = build("output_recurrent", {**OUTPUT, "teacher_forcing": forced})
        model.compile("sgd", "mse")
        inputs = {"features": x, "true_outputs": y} if forced else x
        model.train_on_batch(inputs, y)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            model.train_on_batch(inputs, y)
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    assert seconds(forced=False) > 3 * seconds(forced=True)


def test_trained_by_teacher_forcing_it_runs_free() -> None:
    # y_t = 0.8 y_{t-1} + x_t: what comes back carries all that the hidden layer would have to remember.
    x = RNG.normal(scale=0.3, size=(64, 20, 1)).astype("float32")
    y = np.zeros_like(x)
    for t in range(20):
        y[:, t] = 0.8 * (y[:, t - 1] if t else 0) + x[:, t]
    fields = {"features": 1, "targets": 1, "units": 16, "recurrence": "output-to-output"}
    forced = build("output_recurrent", {**fields, "teacher_forcing": True})
    forced.compile(keras.optimizers.Adam(0.03), "mse")
    losses = train(forced, {"features": x, "true_outputs": y}, y, 100)
    assert losses[-1] < 0.02 * losses[0]
    free = build("output_recurrent", fields)
    free.set_weights(forced.get_weights())
    assert float(np.mean((call(free, {"features": x}) - y) ** 2)) < 0.05 * float(np.var(y))


LABELS = {"features": 2, "classes": 3, "units": 4, "cell": "gru"}


@pytest.mark.parametrize("feedback", ["given", "best", "sampled"])
def test_the_label_that_comes_back_is_as_named(feedback: str) -> None:
    model = randomised("conditional_rnn", {**LABELS, "feedback": feedback})
    *weights, kernel, bias = (np.asarray(weight, np.float64) for weight in model.get_weights())
    x, given = X[..., :2], RNG.integers(0, 3, (3, 7)).astype("int32")
    noise = RNG.gumbel(size=(3, 7, 3)).astype("float32")
    extra = {"given": {"true_labels": given}, "best": {}, "sampled": {"noise": noise}}[feedback]
    states, before, logits, labels = (np.zeros((3, 4)),), np.zeros((3, 3)), [], []
    for t in range(7):
        states = reference.gru_step(np.concatenate([x[:, t], before], -1), states, *weights)
        logits.append(states[0] @ kernel + bias)
        scores = logits[-1] + (noise[:, t] if feedback == "sampled" else 0)
        label = given[:, t] if feedback == "given" else scores.argmax(-1)
        before = np.eye(3)[label]
        labels.append(label)
    got = call(model, {"features": x, **extra})
    if feedback == "given":
        np.testing.assert_allclose(got, np.stack(logits, 1), **TIGHT)
    else:
        np.testing.assert_allclose(got["logits"], np.stack(logits, 1), **TIGHT)
        np.testing.assert_array_equal(got["labels"], np.stack(labels, 1))


def test_feedback_expresses_a_joint_distribution_and_samples_from_it() -> None:
    # Given x, each label alone is a fair coin; together they alternate, except where x says "repeat".
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (128, 8, 1))
    labels = np.zeros((128, 8), "int32")
    labels[:, 0] = rng.integers(0, 2, 128)
    for t in range(1, 8):
        labels[:, t] = labels[:, t - 1] ^ (1 - x[:, t, 0])
    x = x.astype("float32")
    fields = {"features": 1, "classes": 2, "units": 16, "cell": "gru"}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    given = build("conditional_rnn", fields)
    given.compile(keras.optimizers.Adam(0.03), loss)
    inputs = {"features": x, "true_labels": labels}
    train(given, inputs, labels, 120)
    plain = build("sequence_tagger", {**fields, "units": (16,)})
    plain.compile(keras.optimizers.Adam(0.03), loss)
    train(plain, x, labels, 60)
    # One free coin of eight labels: ln 2 / 8 a label is the least; without the feedback the first coin stays unknown.
    least = np.log(2) / 8
    assert given.evaluate(inputs, labels, verbose=0) < least + 0.02
    assert plain.evaluate(x, labels, verbose=0) > 4 * least

    sampler = build("conditional_rnn", {**fields, "feedback": "sampled"})
    sampler.set_weights(given.get_weights())
    drawn = np.asarray(
        call(sampler, {"features": x, "noise": rng.gumbel(size=(128, 8, 2)).astype("float32")})["labels"]
    )
    assert 0.35 < drawn[:, 0].mean() < 0.65
    assert (drawn[:, 1:] == (drawn[:, :-1] ^ (1 - x[:, 1:, 0].astype(int)))).mean() > 0.97


def test_folding_time_serves_each_frame_by_itself() -> None:
    frames = RNG.normal(size=(2, 3, 4, 5, 1)).astype("float32")
    frames[1, 2] = -9
    folded = FoldTime()(frames)
    assert folded.shape == (6, 4, 5, 1)
    layer = UnfoldTime(mask_value=-9.0)
    flat = keras.ops.reshape(folded, (6, -1))
    np.testing.assert_array_equal(layer([flat, frames]), frames.reshape(2, 3, -1))
    np.testing.assert_array_equal(layer.compute_mask([flat, frames]), [[1, 1, 1], [1, 1, 0]])


def test_a_frame_is_seen_by_the_same_convolution_wherever_it_stands() -> None:
    fields = {"height": 8, "width": 8, "channels": 1, "classes": 2, "filters": (4,), "units": (3,)}
    model = build("frame_labeler", fields)
    frames = RNG.normal(size=(2, 3, 8, 8, 1)).astype("float32")
    seen = keras.Model(model.input, model.get_layer("unfold").output)
    expected = model.get_layer("conv_1")(frames[:, 1])
    np.testing.assert_allclose(np.asarray(seen(frames))[:, 1], np.asarray(expected).reshape(2, -1), **TIGHT)


def test_a_video_is_labeled_by_what_moves() -> None:
    # A dot moves right or left; no single frame tells which.
    rng = np.random.default_rng(0)
    direction, start = rng.integers(0, 2, 128), rng.integers(0, 6, 128)
    frames = np.zeros((128, 5, 6, 6, 1), "float32")
    for t in range(5):
        frames[np.arange(128), t, 2, (start + np.where(direction, t, -t)) % 6] = 1
    labels = np.repeat(direction[:, None], 5, 1)
    model = build(
        "frame_labeler", {"height": 6, "width": 6, "channels": 1, "classes": 2, "units": (16,), "cell": "gru"}
    )
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train(model, frames, labels, 80)
    right = np.asarray(model(frames)).argmax(-1) == labels
    assert right[:, 2:].mean() > 0.95
    assert right[:, 0].mean() < 0.7


def test_teacher_forcing_layer_refuses_an_unknown_recurrence() -> None:
    with pytest.raises(ValueError, match=r"recurrence must be one of hidden-to-hidden, .*, got 'loop'"):
        TeacherForcing(3, 2, "loop")
