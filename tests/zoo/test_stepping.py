"""A model token by token equals the model on whole sequences."""

from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.support import build, outputs_of
from zoo.cells import CELLS
from zoo.decoding import Stepper, beam_search, greedy

SEQ2SEQ = {
    "source_vocabulary": 9,
    "target_vocabulary": 7,
    "embedding": 4,
    "encoder_units": (5,),
    "decoder_units": (3, 4),
    "dropout": 0.3,
    "recurrent_dropout": 0.3,
}
LANGUAGE = {"vocabulary": 7, "embedding": 4, "units": (5, 3), "recurrent_dropout": 0.3}
VECTOR = {"features": 4, "vocabulary": 7, "embedding": 5, "units": (3, 4)}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"language model, {cell}": ("language_model", {**LANGUAGE, "cell": cell}) for cell in CELLS},
    "language model, tied": ("language_model", {**LANGUAGE, "tied": True}),
    **{f"vector, {way}": ("vector_to_sequence", {**VECTOR, "context": way}) for way in ("input", "state", "both")},
    "captioner": (
        "image_captioner",
        {"height": 6, "width": 5, "channels": 2, "filters": (3,), "vocabulary": 7, "units": (3,), "embedding": 5},
    ),
    **{
        f"encoder-decoder, {way}": ("encoder_decoder", {**SEQ2SEQ, "context": way})
        for way in ("input", "state", "both")
    },
    "attention": ("attention_encoder_decoder", SEQ2SEQ),
    "attention, weights returned": ("attention_encoder_decoder", {**SEQ2SEQ, "return_attention": True}),
    "attention, last state": ("attention_encoder_decoder", {**SEQ2SEQ, "query": "last", "return_attention": True}),
    "attention, feeding": ("attention_encoder_decoder", {**SEQ2SEQ, "input_feeding": True, "return_attention": True}),
    "attention, feeding, GRU": (
        "attention_encoder_decoder",
        {**SEQ2SEQ, "input_feeding": True, "cell": "gru", "attention": "multiplicative"},
    ),
}
every_model = pytest.mark.parametrize(("name", "fields"), MODELS.values(), ids=MODELS.keys())
BATCH, TIME = 3, 5


def randomised(name: str, fields: dict[str, Any]) -> keras.Model:
    model, rng = build(name, fields), np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.6, size=weight.shape))
    return model


def given(model: keras.Model, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """-> (the inputs beside the tokens, tokens)."""
    rng, inputs = np.random.default_rng(seed), {}
    for tensor in model.inputs:
        shape = tuple(size or (BATCH, TIME + 2)[axis] for axis, size in enumerate(tensor.shape))
        drawn = rng.integers(1, 7, shape) if "int" in tensor.dtype else rng.normal(size=shape)
        inputs[tensor.name] = drawn.astype(tensor.dtype)
    if "encoder_token_ids" in inputs:
        inputs["encoder_token_ids"][1, 3:] = 0
    tokens = inputs.pop(Stepper(model).token_input)[:, :TIME]
    return inputs, tokens


def whole(model: keras.Model, inputs: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    return outputs_of(model, {**inputs, Stepper(model).token_input: tokens})["logits"]


@every_model
def test_steps_equal_the_whole(name: str, fields: dict[str, Any]) -> None:
    model = randomised(name, fields)
    inputs, tokens = given(model)
    step = Stepper(model)
    states, parts = step.start(inputs, batch_size=BATCH), []
    for t in range(TIME):
        logits, states = step(tokens[:, t], states)
        parts.append(np.asarray(logits))
    np.testing.assert_allclose(np.stack(parts, axis=1), whole(model, inputs, tokens), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "case", ["language model, lstm", "captioner", "encoder-decoder, both", "attention, weights returned"]
)
def test_what_is_written_scores_as_teacher_forcing_says(case: str) -> None:
    model = randomised(*MODELS[case])
    inputs, _ = given(model)
    step, first = Stepper(model), np.ones(BATCH, "int32")
    states = step.start(inputs, batch_size=BATCH)
    found = beam_search(step, first, states, beam_width=5, n_best=5, max_length=4, end_id=2, length_penalty=0.5)
    likeliest = greedy(step, first, states, max_length=4, end_id=2)
    rows = [(found.token_ids[:, i], found.lengths[:, i], found.log_probabilities[:, i]) for i in range(5)]
    for tokens, lengths, scores in [*rows, likeliest]:
        tokens = np.asarray(tokens)
        logits = whole(model, inputs, np.concatenate([first[:, None], tokens[:, :-1]], axis=1)).astype(np.float64)
        gains = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        gains = np.take_along_axis(gains, tokens[..., None], -1)[..., 0]
        written = np.arange(4) < np.asarray(lengths)[:, None]
        np.testing.assert_allclose(scores, (gains * written).sum(1), atol=1e-5)


def test_a_model_that_cannot_be_stepped_is_refused() -> None:
    both = build("sequence_tagger", {"vocabulary": 7, "classes": 3, "units": (3,), "bidirectional": True})
    with pytest.raises(ValueError, match="sequence_tagger can't be run token by token: layer 'bidirectional_lstm_1'"):
        Stepper(both)
    vectors = build("sequence_tagger", {"features": 4, "classes": 3, "units": (3,)})
    with pytest.raises(ValueError, match=r"must have one input 'token_ids' or 'decoder_token_ids' .* has 'features'"):
        Stepper(vectors)
    numbers = build("sequence_regressor", {"vocabulary": 7, "units": (3,)})
    with pytest.raises(ValueError, match="has no output 'logits', but 'predictions'"):
        Stepper(numbers)

    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="not built with the functional interface"):
        Stepper(Subclassed())


def test_missing_inputs_are_named() -> None:
    step = Stepper(zoo.create_model("encoder_decoder", **SEQ2SEQ))
    with pytest.raises(ValueError, match=r"start needs a value for 'encoder_token_ids', got \[\]"):
        step.start()
    with pytest.raises(ValueError, match="start needs batch_size=: the model has no inputs beside its tokens"):
        Stepper(zoo.create_model("language_model", **LANGUAGE)).start()
