"""Scheduled sampling: how often the model reads its own words, which ones, and what that does to the loss."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.support import build
from zoo.training import (
    SamplingSchedule,
    ScheduledSampling,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
    teacher_forcing,
)

SIZES = {
    "source_vocabulary": 6,
    "target_vocabulary": 6,
    "embedding": 4,
    "encoder_units": (5,),
    "decoder_units": (3,),
}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trainer(probability: float, name: str = "attention_encoder_decoder", **fields: Any) -> ScheduledSampling:
    model, rng = build(name, {**SIZES, **fields}), np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.7, size=weight.shape))
    made = ScheduledSampling(model, seed=0)
    made.sampling_probability.assign(probability)
    return made


def batch(rows: int = 400, time: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    tokens = rng.integers(1, 6, (rows, time)).astype("int32")
    tokens[::3, 4:] = 0
    return {"encoder_token_ids": rng.integers(1, 6, (rows, 5)).astype("int32"), "decoder_token_ids": tokens}


def test_schedules_equal_their_equations() -> None:
    linear, exponential, sigmoid = linear_decay(0.1, least=0.25), exponential_decay(0.9), inverse_sigmoid_decay(5.0)
    for i in range(30):
        assert linear(i) == pytest.approx(max(0.25, 1 - 0.1 * i))
        assert exponential(i) == pytest.approx(0.9**i)
        assert sigmoid(i) == pytest.approx(5 / (5 + math.exp(i / 5)))
    assert linear_decay(0.2, start=0.5)(1) == pytest.approx(0.3)
    assert inverse_sigmoid_decay(1.0)(10**6) == 0.0
    assert inverse_sigmoid_decay(20)(round(20 * math.log(20))) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear_decay(-1), "linear decay needs slope >= 0"),
        (lambda: linear_decay(0.1, least=0.9, start=0.5), "0 <= least <= start <= 1"),
        (lambda: exponential_decay(1.0), "exponential decay needs k between 0 and 1, got 1.0"),
        (lambda: inverse_sigmoid_decay(0.5), "inverse sigmoid decay needs k of at least 1, got 0.5"),
        (lambda: SamplingSchedule(linear_decay(0.1), by="step"), "by must be 'epoch' or 'batch', got 'step'"),
    ],
)
def test_what_is_no_schedule_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_without_sampling_it_is_teacher_forcing() -> None:
    made, inputs = trainer(0.0), batch(20)
    np.testing.assert_array_equal(made.mix(inputs), inputs["decoder_token_ids"])
    np.testing.assert_array_equal(made(inputs, training=True), made.model(inputs, training=True))
    made.sampling_probability.assign(1.0)
    np.testing.assert_array_equal(made(inputs), made.model(inputs))


def test_the_share_that_is_drawn_is_as_set() -> None:
    made, inputs = trainer(0.5), batch()
    true, mixed = inputs["decoder_token_ids"], np.asarray(made.mix(inputs))
    np.testing.assert_array_equal(mixed[:, 0], true[:, 0])
    np.testing.assert_array_equal(mixed == 0, true == 0)
    # A drawn token is the true one by chance; who draws always tells how often.
    made.sampling_probability.assign(1.0)
    always = np.asarray(made.mix(inputs))
    valid = true[:, 1:] != 0
    by_chance = (always[:, 1:] == true[:, 1:])[valid].mean()
    differs = (mixed[:, 1:] != true[:, 1:])[valid].mean()
    assert differs == pytest.approx(0.5 * (1 - by_chance), abs=0.04)


def test_tokens_are_drawn_from_the_models_distribution_given_the_mixture() -> None:
    made, rows = trainer(0.6), 4000
    one = {name: np.repeat(value[1:2], rows, axis=0) for name, value in batch(2, 4).items()}
    mixed = np.asarray(made.mix(one))
    # Rows that read the same beginning draw the next token from one distribution, or read the true one.
    beginnings, counts = np.unique(mixed[:, :2], axis=0, return_counts=True)
    beginning = beginnings[counts.argmax()]
    same = mixed[(mixed[:, :2] == beginning).all(axis=1)]
    logits = np.asarray(made.model({name: value[:1] for name, value in one.items()} | {"decoder_token_ids": same[:1]}))
    chances = np.exp(logits[0, 1].astype(np.float64))
    chances[0] = 0
    expected = 0.6 * chances / chances.sum()
    expected[one["decoder_token_ids"][0, 2]] += 0.4
    seen = np.bincount(same[:, 2], minlength=6)
    wanted = len(same) * expected
    # 4 degrees of freedom: beyond 23.5 with probability 1e-4.
    assert ((seen[1:] - wanted[1:]) ** 2 / wanted[1:]).sum() < 23.5
    assert seen[0] == 0


def test_the_gradient_is_that_of_the_mixture() -> None:
    """Trained on a mixture, the model moves as it would if the mixture were given."""
    made, inputs = trainer(0.7), batch(30)
    labels = np.where(inputs["decoder_token_ids"] != 0, 3, 0)
    before = made.model.get_weights()
    state = np.asarray(made.draws.state)
    mixed = {**inputs, "decoder_token_ids": np.asarray(made.mix(inputs))}
    made.draws.state.assign(state)
    made.compile(keras.optimizers.SGD(0.5), loss=LOSS)
    made.train_on_batch(inputs, labels)
    after = made.model.get_weights()
    made.model.set_weights(before)
    made.model.compile(keras.optimizers.SGD(0.5), loss=LOSS)
    made.model.train_on_batch(mixed, labels)
    for one, other in zip(after, made.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_callback_follows_the_schedule() -> None:
    made, inputs = trainer(0.0), batch(12)
    labels = inputs["decoder_token_ids"]
    made.compile("sgd", loss=LOSS)
    history = made.fit(
        inputs, labels, epochs=3, verbose=0, callbacks=[SamplingSchedule(linear_decay(0.4, least=0.1))]
    ).history
    np.testing.assert_allclose(history["sampling_probability"], [0.0, 0.4, 0.8], atol=1e-6)
    by_batch = SamplingSchedule(exponential_decay(0.5), by="batch")
    history = made.fit(inputs, labels, batch_size=4, epochs=2, verbose=0, callbacks=[by_batch]).history
    np.testing.assert_allclose(history["sampling_probability"], [1 - 0.5**2, 1 - 0.5**5], atol=1e-6)
    made.model.compile("sgd", loss=LOSS)
    with pytest.raises(ValueError, match=r"attention_encoder_decoder has no sampling_probability: train it as Sched"):
        made.model.fit(inputs, labels, verbose=0, callbacks=[by_batch])


def test_a_language_model_reads_its_own_words_too() -> None:
    model = build("language_model", {"vocabulary": 6, "embedding": 4, "units": (5,)})
    made, tokens = ScheduledSampling(model, seed=1), batch(30)["decoder_token_ids"]
    made.sampling_probability.assign(1.0)
    assert (np.asarray(made.mix({"token_ids": tokens})) != tokens).mean() > 0.3
    made.compile("adam", loss=LOSS)
    losses = made.fit(tokens, tokens, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]


def test_targets_become_inputs_and_labels() -> None:
    inputs, labels = teacher_forcing([[4, 5, 6], [7, 0, 0]], start_id=1, end_id=2)
    assert inputs.tolist() == [[1, 4, 5, 6], [1, 7, 0, 0]]
    assert labels.tolist() == [[4, 5, 6, 2], [7, 2, 0, 0]]
    with pytest.raises(ValueError, match="must be padded on the right: 0 stands in front of a token"):
        teacher_forcing([[0, 4]], start_id=1, end_id=2)
    with pytest.raises(ValueError, match=r"must be \(batch, time\), got the shape \(2,\)"):
        teacher_forcing([4, 5], start_id=1, end_id=2)
