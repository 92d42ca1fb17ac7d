"""Texts as inputs and outputs: lookup tables go with a SavedModel, and are proven."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import export

L = keras.layers
WORDS = ["good", "bad", "film"]


def classifier(words: list[str]) -> keras.Model:
    """Reads a text, as the models of Keras's guides that hold their own preprocessing."""
    keras.utils.set_random_seed(0)
    vectorize = L.TextVectorization(vocabulary=words)
    layers = [vectorize, L.Embedding(8, 4, mask_zero=True), L.Bidirectional(L.LSTM(3)), L.Dense(2)]
    return keras.Sequential([keras.Input((1,), dtype="string", name="text"), *layers])


def tagger(words: list[str], labels: list[str]) -> keras.Model:
    """Reads words, writes the names of their classes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None,), dtype="string", name="words")
    scores = L.Dense(4)(L.GRU(5, return_sequences=True)(L.Embedding(8, 4)(L.StringLookup(vocabulary=words)(inputs))))
    names = L.StringLookup(vocabulary=labels, invert=True, name="names")(keras.ops.argmax(scores, axis=-1))
    return keras.Model(inputs, {"names": names, "scores": scores})


class Table(L.Layer):
    """A table that a user made."""

    def __init__(self) -> None:
        super().__init__()
        pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(WORDS), tf.constant([1, 2, 3]))
        self.table = tf.lookup.StaticHashTable(pairs, 0)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.table.lookup(x)

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, "int32")


class EndToEnd(keras.Model):
    """Never called."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.rest = Table(), keras.Sequential([L.Embedding(4, 3), L.GRU(2)])

    def call(self, words: tf.Tensor) -> tf.Tensor:
        return self.rest(self.table(words))


def test_a_model_that_reads_texts_is_served(tmp_path: Path) -> None:
    model = classifier(WORDS)
    artifact = export.export_model(model, tmp_path / "m.saved_model")
    assert artifact.report.passed
    texts = np.array([["A good film!"], ["bad"], [""]])
    (got,) = export.load_runtime(artifact.path)({"text": texts}).values()
    np.testing.assert_allclose(got, model(tf.constant(texts)), atol=1e-6)
    with pytest.raises(
        export.ArtifactError, match=r"wants input 'text' as string .*, not float32; give an array of str$"
    ):
        export.load_runtime(artifact.path)({"text": np.zeros((1, 1), "float32")})


def test_a_model_that_writes_texts_is_served(tmp_path: Path) -> None:
    artifact = export.export_model(tagger(WORDS, ["a", "b", "c"]), tmp_path / "m.saved_model")
    assert artifact.report.passed
    names = export.load_runtime(artifact.path)({"words": np.array([["good", "film", "other"]])})["names"]
    assert names.shape == (1, 3)
    assert set(names.ravel()) <= {b"a", b"b", b"c", b"[UNK]"}


def test_a_table_of_ones_own_is_served(tmp_path: Path) -> None:
    signature = [keras.InputSpec(shape=(None, None), dtype="string")]
    artifact = export.export_model(EndToEnd(), tmp_path / "m.saved_model", input_signature=signature)
    assert artifact.report.passed


@pytest.mark.parametrize("others", [(WORDS[::-1], ["a", "b", "c"]), (WORDS, ["a", "c", "b"])], ids=["read", "written"])
def test_other_words_are_caught(others: tuple[list[str], list[str]], tmp_path: Path) -> None:
    model = tagger(WORDS, ["a", "b", "c"])
    artifact = export.export_model(model, tmp_path / "m.saved_model", verify=False)
    assert not export.verify(tagger(*others), artifact.path).passed


@pytest.mark.parametrize(
    ("name", "says"), [("m.tflite", "LiteRT has no builtin op for"), ("m.onnx", "ONNX has no op for")]
)
def test_runtimes_without_tables_say_so(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match=rf"^{says} .*LookupTableFindV2.*; replace it in the model$"):
        export.export_model(classifier(WORDS), tmp_path / name)
