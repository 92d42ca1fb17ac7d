"""The tagger that reads spellings: against NumPy, and on words that only their spelling tells apart."""

import keras
import numpy as np
import pytest

from zoo import create_model

SIZES = {"vocabulary": 5, "characters": 6, "word_length": 4, "classes": 2, "embedding": 3, "character_embedding": 3}
RANDOM = np.random.default_rng(0)


def words(rows: int, time: int) -> dict[str, np.ndarray]:
    ids = RANDOM.integers(1, 5, (rows, time)).astype("int32")
    characters = RANDOM.integers(1, 6, (rows, time, 4)).astype("int32")
    characters[RANDOM.random((rows, time)) < 0.3, 2:] = 0
    return {"token_ids": ids, "character_ids": characters}


def test_it_equals_the_equations() -> None:
    model = create_model(
        "character_tagger", **SIZES, filters=4, kernel=3, cell="simple_rnn", units=(5,), bidirectional=False
    )
    for weight in model.weights:
        weight.assign(RANDOM.normal(0, 0.5, weight.shape))

    def weights(layer: str) -> list[np.ndarray]:
        return [keras.ops.convert_to_numpy(weight) for weight in model.get_layer(layer).weights]

    inputs = words(2, 6)
    characters = weights("character_embedding")[0][inputs["character_ids"]]
    padded = np.pad(characters, [(0, 0), (0, 0), (1, 1), (0, 0)])
    filters, bias = weights("conv")
    windows = np.stack([padded[:, :, at : at + 3] for at in range(4)], axis=2)
    spelled = np.tanh(np.einsum("btikc,kcf->btif", windows, filters) + bias).max(axis=2)
    x = np.concatenate([weights("embedding")[0][inputs["token_ids"]], spelled], axis=-1)
    kernel, recurrent, rnn_bias = weights("simple_rnn_1")
    readout, readout_bias = weights("logits")
    h, states = np.zeros((2, 5)), []
    for t in range(6):
        h = np.tanh(x[:, t] @ kernel + h @ recurrent + rnn_bias)
        states.append(h)
    logits = np.stack(states, 1) @ readout + readout_bias
    np.testing.assert_allclose(model.predict(inputs, verbose=0), logits, atol=1e-5)


@pytest.mark.slow
def test_it_tells_unknown_words_apart_by_their_spelling() -> None:
    keras.utils.set_random_seed(0)
    inputs = words(400, 5)
    inputs["token_ids"][:] = 1
    # Of each word: does the one before it hold character 3 beside character 4?
    pair = (inputs["character_ids"][:, :, :-1] == 3) & (inputs["character_ids"][:, :, 1:] == 4)
    labels = np.roll(pair.any(axis=-1), 1, axis=1)
    labels[:, 0] = False
    scores = {}
    for part in ("spelled", "hidden"):
        model = create_model("character_tagger", **SIZES, filters=16, cell="gru", units=(16,))
        seen = inputs if part == "spelled" else inputs | {"character_ids": np.ones_like(inputs["character_ids"])}
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.02), loss)
        model.fit(seen, labels.astype("int32"), batch_size=100, epochs=25, verbose=0)
        guessed = model.predict(seen, verbose=0).argmax(-1).astype(bool)
        scores[part] = (guessed & labels).sum() / labels.sum()
    assert scores["spelled"] > 0.9
    assert scores["hidden"] < 0.5
