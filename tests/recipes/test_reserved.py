"""Tokens that no text has are never written: not by a run's model, not in the report, not by an exported file."""

import dataclasses
import html
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
import zoo
from recipes import language_report
from recipes.data import Data, Ragged
from recipes.judging import keras_predict
from recipes.language_model import LanguageModel
from recipes.teacher_forcing import generator, generator_metadata
from recipes.vocabulary import END, PADDING, START, UNKNOWN, Vocabulary, never_written
from recipes.writing import Writer

RESERVED = ("<pad>", "<unk>", "<s>", "</s>")


def eager(model: keras.Model) -> keras.Model:
    """Lets a model want nothing but reserved tokens."""
    bias = model.get_layer("logits").bias
    bias.assign(np.where(np.arange(bias.shape[0]) < len(RESERVED), 50.0 - np.arange(bias.shape[0]), 0.0))
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[LanguageModel, Data, keras.Model]:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_text("so it goes on and on\n" * 60)
    recipe = LanguageModel(text=str(path), batch_size=2, units=(4,), embedding=4, window=8, tokens="words")
    data = recipe.load_data()
    return recipe, data, eager(recipe.build_model(data))


def test_what_is_taught_may_be_written() -> None:
    assert never_written([5, END, 4]) == {"never_written": [PADDING, UNKNOWN, START]}
    assert never_written([5, UNKNOWN, 4, 4]) == {"never_written": [PADDING, START, END]}


def test_a_language_model_writes_text_alone(written: tuple[LanguageModel, Data, keras.Model], tmp_path: Path) -> None:
    recipe, data, model = written
    assert data.metadata["never_written"] == [PADDING, UNKNOWN, START, END]
    write = Writer(model, data.metadata)
    texts = {heat: write("so it", seed=2, temperature=heat, max_tokens=20) for heat in (0.0, 1.0)}
    assert not any(token in text for text in texts.values() for token in RESERVED)
    page = str(language_report.samples(model, data, ("so it", "goes")).html)
    assert not any(html.escape(token) in page for token in RESERVED)
    _, writer = recipe.deployments(model, data)
    file = export.export_model(writer.model, tmp_path / "writer.onnx", metadata=dict(data.metadata))
    from_file = export.TextGenerator(file)
    assert from_file("so it", seed=2, temperature=1.0, max_tokens=20) == texts[1.0]
    # Trained weights are as they were: only what is chosen from is less.
    assert np.asarray(model(np.array([[4, 5]])))[0, -1].argmax() == PADDING


def test_an_old_runs_metadata_forbid_nothing(written: tuple[LanguageModel, Data, keras.Model]) -> None:
    _, data, model = written
    metadata = {name: value for name, value in data.metadata.items() if name != "never_written"}
    assert "<unk>" in Writer(model, metadata)("so it", temperature=0.0, max_tokens=3)


@pytest.mark.parametrize(("way", "limits"), [("greedy", {}), ("beam", {"beam_width": 3, "n_best": 2})])
def test_a_translation_is_text_alone(
    written: tuple[LanguageModel, Data, keras.Model], way: str, limits: dict[str, Any]
) -> None:
    vocabulary = Vocabulary.of([["x", "y", "z"]])
    metadata = generator_metadata(vocabulary, Ragged.of([[4, 5, END]], dtype="int32"))
    data = dataclasses.replace(written[1], metadata=metadata)
    sizes = {"source_vocabulary": 6, "target_vocabulary": len(vocabulary)}
    model = eager(zoo.create_model("encoder_decoder", encoder_units=(3,), decoder_units=(3,), **sizes))
    found = keras_predict(generator(model, data, way, {"max_length": 5, **limits}))({
        "encoder_token_ids": np.array([[4, 5, 5]])
    })  # fmt: skip
    assert not {START, UNKNOWN} & set(found["generated_ids"].ravel().tolist())
    assert np.isfinite(found["log_probabilities"]).all()
