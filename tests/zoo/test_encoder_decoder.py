"""Encoder-decoders against their equations, and what each path carries."""

from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests import reference
from tests.zoo.support import build, outputs_of
from zoo.cells import CELLS
from zoo.layers import GlobalAttention

SIZES: dict[str, Any] = {
    "source_vocabulary": 9,
    "target_vocabulary": 8,
    "embedding": 4,
    "encoder_units": (5,),
    "decoder_units": (3,),
}
SOURCE = np.array([[1, 2, 3, 4, 5], [8, 7, 6, 0, 0]], "int32")
TARGET = np.array([[1, 2, 3, 4], [7, 6, 0, 0]], "int32")
TIGHT = {"atol": 2e-6, "rtol": 1e-5}
MASK = TARGET != 0


def randomised(name: str, **fields: Any) -> keras.Model:
    model, rng = build(name, {**SIZES, **fields}), np.random.default_rng(3)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    return model


def weights(model: keras.Model, layer: str) -> list[np.ndarray]:
    return [np.asarray(weight, np.float64) for weight in model.get_layer(layer).get_weights()]


def logits(model: keras.Model, source: np.ndarray = SOURCE, target: np.ndarray = TARGET) -> np.ndarray:
    return outputs_of(model, {"encoder_token_ids": source, "decoder_token_ids": target})["logits"]


def first_states(model: keras.Model, cell: str, context: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(
        np.tanh(reference.dense(context, weights(model, f"decoder_{cell}_1_start_{i}")))
        for i in range(1, reference.STATES[cell] + 1)
    )


def encoded(model: keras.Model, cell: str) -> tuple[np.ndarray, np.ndarray]:
    """-> (every state of the encoder, the last valid one)."""
    mask = SOURCE != 0
    states = reference.recurrence(
        cell, weights(model, "encoder_embedding")[0][SOURCE], weights(model, f"encoder_{cell}_1"), mask
    )
    return states, reference.last_valid(states, mask)


@pytest.mark.parametrize("context", ["input", "state", "both"])
@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru", "minimal_gated"])
def test_one_vector_equals_the_equations(cell: str, context: str) -> None:
    model = randomised("encoder_decoder", cell=cell, context=context)
    _, summary = encoded(model, cell)
    x = weights(model, "decoder_embedding")[0][TARGET]
    start = tuple(np.zeros((2, 3)) for _ in range(reference.STATES[cell]))
    if context != "state":
        x = np.concatenate([x, np.repeat(summary[:, None], 4, axis=1)], axis=-1)
    if context != "input":
        start = first_states(model, cell, summary)
    step, own = reference.STEPS[cell], weights(model, f"decoder_{cell}_1")
    states = reference.unroll(lambda x_t, before: step(x_t, before, *own), x, start, MASK)
    expected = reference.dense(states, weights(model, "logits"))
    np.testing.assert_allclose(logits(model)[MASK], expected[MASK], **TIGHT)


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    return {weight.name: np.asarray(weight, np.float64) for weight in layer.weights}


def attend(
    model: keras.Model, layer: Any, score: str, queries: np.ndarray, memory: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Attention by loops over every pair of steps: -> (attentional vectors, weights)."""
    own = weights_of(layer)
    keys = memory @ weights(model, "attention_keys")[0]
    outputs, shares = np.zeros_like(queries), np.zeros((*queries.shape[:2], memory.shape[1]))
    for i, t in np.ndindex(queries.shape[:2]):
        steps = [s for s in range(memory.shape[1]) if SOURCE[i, s] != 0]
        if score == "multiplicative":
            scores = np.array([queries[i, t] @ keys[i, s] for s in steps])
        else:
            mixed = [np.tanh(queries[i, t] @ own["query_kernel"] + keys[i, s]) for s in steps]
            scores = np.array([vector @ own["score_vector"][:, 0] for vector in mixed])
        share = np.exp(scores) / np.exp(scores).sum()
        shares[i, t, steps] = share
        context = sum(weight * memory[i, s] for weight, s in zip(share, steps, strict=True))
        outputs[i, t] = np.tanh(np.concatenate([context, queries[i, t]]) @ own["kernel"])
    return outputs, shares


@pytest.mark.parametrize("score", ["additive", "multiplicative"])
@pytest.mark.parametrize("way", ["parallel", "feeding", "last"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_attention_equals_the_equations(cell: str, way: str, score: str) -> None:
    fields = {"cell": cell, "attention": score, "input_feeding": way == "feeding", "bidirectional": False}
    fields["query"] = "last" if way == "last" else "new"
    model = randomised("attention_encoder_decoder", return_attention=True, **fields)
    memory, summary = encoded(model, cell)
    x, states = weights(model, "decoder_embedding")[0][TARGET], first_states(model, cell, summary)
    step = reference.STEPS[cell]
    if way != "parallel":
        layer = model.get_layer("decoder").cell
        own = [np.asarray(weight, np.float64) for weight in layer.cells[0].weights]
        vectors, shares, fed = np.zeros((2, 4, 3)), np.zeros((2, 4, 5)), np.zeros((2, 3))
        for t in range(4):
            _, share = attend(model, layer.attention, score, states[0][:, None], memory)
            beside = fed if way == "feeding" else np.einsum("bs,bsw->bw", share[:, 0], memory)
            new = step(np.concatenate([x[:, t], beside], axis=-1), states, *own)
            vector, after = attend(model, layer.attention, score, new[0][:, None], memory)
            if way == "feeding":
                share = after
            else:
                vector = np.tanh(np.concatenate([beside, new[0]], -1) @ weights_of(layer.attention)["kernel"])[:, None]
            keep = MASK[:, t, None]
            states = tuple(np.where(keep, after, before) for after, before in zip(new, states, strict=True))
            fed = np.where(keep, vector[:, 0], fed)
            vectors[:, t], shares[:, t] = fed, share[:, 0]
    else:
        own = weights(model, f"decoder_{cell}_1")
        queries = reference.unroll(lambda x_t, before: step(x_t, before, *own), x, states, MASK)
        vectors, shares = attend(model, model.get_layer("attend"), score, queries, memory)
    got = outputs_of(model, {"encoder_token_ids": SOURCE, "decoder_token_ids": TARGET})
    np.testing.assert_allclose(got["logits"][MASK], reference.dense(vectors, weights(model, "logits"))[MASK], **TIGHT)
    np.testing.assert_allclose(got["attention"][MASK], shares[MASK], **TIGHT)


MODELS = {
    "one vector": ("encoder_decoder", {}),
    "each step": ("encoder_decoder", {"context": "input", "bidirectional": True}),
    "deep": ("encoder_decoder", {"encoder_units": (5, 4), "decoder_units": (3, 6)}),
    "attention": ("attention_encoder_decoder", {}),
    "deep feeding": (
        "attention_encoder_decoder",
        {"input_feeding": True, "attention": "multiplicative", "decoder_units": (3, 6)},
    ),
    "deep, last state": ("attention_encoder_decoder", {"query": "last", "decoder_units": (3, 6)}),
}
every_model = pytest.mark.parametrize(("name", "fields"), MODELS.values(), ids=MODELS.keys())


@every_model
def test_padding_of_either_side_changes_nothing(name: str, fields: dict[str, Any]) -> None:
    model = randomised(name, **fields)
    before = logits(model)
    after = logits(model, np.pad(SOURCE, ((0, 0), (0, 3))), np.pad(TARGET, ((0, 0), (0, 2))))
    np.testing.assert_allclose(after[:, :4][MASK], before[MASK], **TIGHT)
    front = logits(model, SOURCE, np.pad(TARGET, ((0, 0), (2, 0))))
    np.testing.assert_allclose(front[:, 2:][MASK], before[MASK], **TIGHT)


@every_model
def test_the_decoder_reads_no_future_and_all_of_the_source(name: str, fields: dict[str, Any]) -> None:
    model = randomised(name, **fields)
    source, target = np.array([[1, 2, 3, 4, 5]], "int32"), np.array([[1, 2, 3, 4]], "int32")
    before = logits(model, source, target)
    later = logits(model, source, np.array([[1, 2, 7, 7]], "int32"))
    np.testing.assert_allclose(later[:, :2], before[:, :2], **TIGHT)
    assert np.abs(later[:, 2:] - before[:, 2:]).max() > 1e-4
    for place in range(5):
        changed = source.copy()
        changed[0, place] = 8
        assert np.abs(logits(model, changed, target) - before)[:, 0].max() > 1e-7


def test_nothing_but_one_vector_reaches_the_decoder() -> None:
    model = randomised("encoder_decoder")
    vector = model.get_layer("context").input[1]
    # Keras refuses to cut a model out whose outputs depend on anything but its inputs.
    decoder = keras.Model([vector, model.input["decoder_token_ids"]], model.output)
    summary = np.asarray(keras.Model(model.input["encoder_token_ids"], vector)(SOURCE))
    assert summary.shape == (2, 5)
    np.testing.assert_allclose(decoder([summary, TARGET]), logits(model), **TIGHT)


@every_model
def test_the_loss_leaves_padding_out(name: str, fields: dict[str, Any]) -> None:
    model = randomised(name, **fields)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.array([[2, 3, 4, 5], [6, 1, 0, 0]], "int32")
    scores = logits(model).astype(np.float64)
    scores -= np.logaddexp.reduce(scores, axis=-1, keepdims=True)
    expected = -np.take_along_axis(scores, labels[..., None], -1)[..., 0][MASK].mean()
    inputs = {"encoder_token_ids": SOURCE, "decoder_token_ids": TARGET}
    assert model.evaluate(inputs, labels, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_source_of_padding_gets_no_attention() -> None:
    model = randomised("attention_encoder_decoder", return_attention=True)
    got = outputs_of(model, {"encoder_token_ids": SOURCE * [[1], [0]], "decoder_token_ids": TARGET})
    assert np.isfinite(got["logits"]).all()
    np.testing.assert_allclose(got["attention"][0].sum(-1), 1, atol=1e-6)
    assert (got["attention"][1] == 0).all()


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("name", ["encoder_decoder", "attention_encoder_decoder"])
def test_every_cell_fits(name: str, cell: str) -> None:
    extra = {"input_feeding": True} if name.startswith("attention") else {}
    model = randomised(name, cell=cell, decoder_units=(3, 2), **extra)
    assert np.isfinite(logits(model)).all()


@every_model
def test_dropout_drops_in_training_only(name: str, fields: dict[str, Any]) -> None:
    model = randomised(name, dropout=0.4, recurrent_dropout=0.4, **fields)
    inputs = {"encoder_token_ids": SOURCE, "decoder_token_ids": TARGET}
    first, second = (np.asarray(model(inputs, training=True)) for _ in range(2))
    assert np.abs(first - second)[MASK].max() > 1e-3
    np.testing.assert_array_equal(logits(model), logits(model))


def test_a_score_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'additive'"):
        zoo.create_model("attention_encoder_decoder", **SIZES, attention="aditive")
    with pytest.raises(ValueError, match="score must be 'additive' or 'multiplicative', got 'dot'"):
        GlobalAttention("dot")
    with pytest.raises(ValueError, match="with query='last' the decoder reads the context already"):
        build("attention_encoder_decoder", {**SIZES, "query": "last", "input_feeding": True})
