"""A vector or an image into a sequence: each path of the context, and that the other one is cut."""

from typing import Any

import keras
import numpy as np
import pytest

from tests import reference
from tests.zoo.support import build, call, train

FIELDS = {"features": 4, "vocabulary": 7, "units": (5,), "embedding": 3, "cell": "lstm"}
RNG = np.random.default_rng(0)
VECTOR = RNG.normal(size=(3, 4)).astype("float32")
IDS = RNG.integers(1, 7, (3, 6)).astype("int32")
TIGHT = {"atol": 2e-6, "rtol": 1e-5}


def randomised(context: str) -> tuple[keras.Model, dict[str, list[np.ndarray]]]:
    model, rng = build("vector_to_sequence", {**FIELDS, "context": context}), np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    return model, {layer.name: [np.asarray(w, np.float64) for w in layer.get_weights()] for layer in model.layers}


def run(model: keras.Model, vector: np.ndarray) -> np.ndarray:
    return np.asarray(call(model, {"vector": vector, "token_ids": IDS}))


@pytest.mark.parametrize("context", ["input", "state", "both"])
def test_the_context_comes_in_as_named(context: str) -> None:
    model, weights = randomised(context)
    x = weights["embedding"][0][IDS]
    if context != "state":
        x = np.concatenate([x, np.repeat(VECTOR[:, None], 6, 1)], -1)
    states: Any = (np.zeros((3, 5)), np.zeros((3, 5)))
    if context != "input":
        states = tuple(np.tanh(reference.dense(VECTOR, weights[f"first_1_{j}"])) for j in (1, 2))
    h = reference.unroll(lambda x, s: reference.lstm_step(x, s, *weights["lstm_1"]), x, states)
    np.testing.assert_allclose(run(model, VECTOR), reference.dense(h, weights["logits"]), **TIGHT)


@pytest.mark.parametrize("context", ["input", "state", "both"])
def test_padding_is_skipped_and_left_out_of_the_loss(context: str) -> None:
    model, _ = randomised(context)
    # Holes, so that a state which a masked step had moved would show in the steps after it.
    holes = IDS.copy()
    holes[0, 2:4] = holes[1, 0] = holes[2, -1] = 0
    logits = np.asarray(call(model, {"vector": VECTOR, "token_ids": holes}))
    for row in range(3):
        alone = {"vector": VECTOR[row : row + 1], "token_ids": holes[row : row + 1, holes[row] != 0]}
        np.testing.assert_allclose(logits[row, holes[row] != 0], np.asarray(call(model, alone))[0], **TIGHT)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    wanted = np.take_along_axis(logits - np.logaddexp.reduce(logits, -1, keepdims=True), IDS[..., None], -1)[..., 0]
    loss = model.evaluate({"vector": VECTOR, "token_ids": holes}, IDS, verbose=0)
    assert loss == pytest.approx(-wanted[holes != 0].mean(), rel=1e-5)


@pytest.mark.parametrize("context", ["input", "state", "both"])
def test_the_other_path_is_cut(context: str) -> None:
    model, _ = randomised(context)
    names = {layer.name for layer in model.layers}
    assert ("with_context" in names) == (context != "state")
    assert ("first_1_1" in names) == (context != "input")
    assert np.abs(run(model, VECTOR) - run(model, VECTOR + 1)).max() > 1e-3
    # Take the one path away: in its own mode nothing is left of the vector, in mode "both" the other path still is.
    for layer in model.layers:
        if layer.name == "lstm_1" and context == "input":
            kernel, *rest = layer.get_weights()
            kernel[3:] = 0
            layer.set_weights([kernel, *rest])
        if layer.name.startswith("first") and context != "input":
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    left = np.abs(run(model, VECTOR) - run(model, VECTOR + 1)).max()
    assert left > 1e-3 if context == "both" else left == 0


@pytest.mark.parametrize("context", ["input", "state", "both"])
def test_every_layer_and_cell_takes_the_context(context: str) -> None:
    for cell in ("simple_rnn", "gru", "lstm_peephole", "minimal_gated"):
        model = build("vector_to_sequence", {**FIELDS, "units": (5, 3), "cell": cell, "context": context})
        assert run(model, VECTOR).shape == (3, 6, 7)


@pytest.mark.parametrize("context", ["input", "state"])
def test_it_learns_to_spell_what_the_vector_says(context: str) -> None:
    # Four words, one for each one-hot vector; id 1 starts, 0 pads.
    words = np.array([[2, 3, 4, 5], [3, 2, 5, 4], [2, 2, 6, 0], [6, 5, 0, 0]], "int32")
    before = np.concatenate([np.ones((4, 1), "int32"), words[:, :-1]], 1)
    vectors = np.eye(4, dtype="float32")
    fields = {"features": 4, "vocabulary": 7, "units": (16,), "embedding": 8, "cell": "gru", "context": context}
    model = build("vector_to_sequence", fields)
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = {"vector": vectors, "token_ids": before}
    train(model, inputs, words, 60)
    said = np.asarray(call(model, inputs)).argmax(-1)
    np.testing.assert_array_equal(said[before != 0], words[before != 0])


def test_captions_tell_images_apart() -> None:
    # A bright half on top or below: the caption names which.
    rng = np.random.default_rng(0)
    top = rng.integers(0, 2, 64)
    images = rng.normal(scale=0.1, size=(64, 8, 8, 1)).astype("float32")
    images[top == 1, :4] += 1
    images[top == 0, :, :4] += 1
    captions = np.where(top[:, None] == 1, [2, 3], [4, 2]).astype("int32")
    before = np.concatenate([np.ones((64, 1), "int32"), captions[:, :-1]], 1)
    fields = {"height": 8, "width": 8, "channels": 1, "filters": (8, 8), "units": (16,), "embedding": 8}
    model = build("image_captioner", {**fields, "vocabulary": 5})
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = {"image": images, "token_ids": before}
    train(model, inputs, captions, 30)
    said = np.asarray(call(model, inputs)).argmax(-1)
    assert (said == captions).mean() > 0.98


def test_a_captioner_reads_precomputed_features() -> None:
    model = build("image_captioner", {"features": 4, "vocabulary": 7, "units": (5,), "embedding": 3})
    assert {tensor.name for tensor in model.inputs} == {"image_features", "token_ids"}
    assert call(model, {"image_features": VECTOR, "token_ids": IDS}).shape == (3, 6, 7)


@pytest.mark.parametrize(
    "fields", [{}, {"height": 3}, {"features": 3, "height": 4, "width": 4, "channels": 1}, {"features": 3, "width": 4}]
)
def test_a_captioner_needs_an_image_or_features(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"^image_captioner: give either height=, width= and channels="):
        build("image_captioner", {"vocabulary": 7, **fields})
