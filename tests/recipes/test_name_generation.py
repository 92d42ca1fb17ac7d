"""Names by language: what the model reads and writes, the metric, a whole run."""

import numpy as np
import pytest

import export
import recipes
from recipes.data import Ragged
from recipes.recipe import configure
from tests.recipes.real_data import data_dir

LANGUAGES = ("Dutch", "Greek")


@pytest.fixture(autouse=True)
def names(monkeypatch):
    def part(count: int, more: str = "") -> list[dict[str, str]]:
        draw = np.random.default_rng(count)
        words = {"Dutch": "van de", "Greek": "opoulos"}
        return [
            {"name": f"{''.join(draw.choice(list('abc'), 2))}{words[language]}{more}", "language": language}
            for language in LANGUAGES
            for _ in range(count)
        ]

    splits = {"train": part(30), "validation": part(5), "test": part(4, "z")}
    monkeypatch.setattr("recipes.datasets.load", lambda name, data_dir: splits)


@pytest.fixture
def recipe():
    return configure(recipes.get_recipe("name_generation"), {"units": (8,), "embedding": 4})


def test_a_name_is_read_behind_a_start_and_written_up_to_an_end(recipe):
    data = recipe.load_data()
    vocabulary, split = data.metadata["vocabulary"], data.train
    assert [vocabulary[place] for place in split.inputs["token_ids"][0]] == ["<s>", *split.texts[0]]
    assert [vocabulary[place] for place in split.targets[0]] == [*split.texts[0], "</s>"]
    assert data.labels == LANGUAGES
    np.testing.assert_array_equal(split.inputs["vector"][[0, -1]], np.eye(2))


def test_the_characters_are_of_the_training_part(recipe):
    data = recipe.load_data()
    assert {*data.metadata["vocabulary"][4:]} == {letter for name in data.train.texts for letter in name}
    assert (data.test.targets[0] == 1).sum() == 1, "z is not known"


def test_the_metric_is_the_mean_over_all_characters(recipe):
    data = recipe.load_data()
    inputs, targets, weights = data.test.batch(np.arange(len(data.test)))
    logits = np.random.default_rng(0).normal(size=(*targets.shape, len(data.metadata["vocabulary"])))
    share = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = -np.log(np.take_along_axis(share, targets[..., None], -1)[..., 0])[weights == 1].mean()
    nll = recipe.condense({"logits": logits}, inputs, targets)["nll"]
    ragged = Ragged.of([row[weight == 1] for row, weight in zip(nll, weights, strict=True)], dtype="float32")
    verdict = recipe.judge({"nll": ragged}, data.test)
    assert verdict.metrics == {
        "nats_per_character": pytest.approx(wanted, rel=1e-6),
        "perplexity": pytest.approx(np.exp(wanted), rel=1e-6),
    }
    assert "Greek" in verdict.sections[0]().html


@pytest.mark.slow
def test_a_whole_run(recipe, tmp_path):
    run = recipes.run(
        "name_generation", out=tmp_path / "run", quiet=True, units=(24,), epochs=25, learning_rate=0.02, batch_size=16
    )
    assert run.metrics["nats_per_character"] < 1.5
    rows = {row["file"]: row["metrics"] for row in run.results["artifacts"]}
    assert rows["writer.onnx"] == rows["writer.tflite"] == rows["writer.saved_model"] == {"same_name": 1.0}
    assert rows["model.onnx"]["nats_per_character"] == pytest.approx(run.metrics["nats_per_character"], abs=1e-4)
    write = export.TextGenerator(run.folder / "exports" / "writer.tflite")
    written = [write(vector=np.eye(2)[place], temperature=0.0) for place in range(2)]
    assert written[0].endswith("van de")
    assert written[1].endswith("opoulos")
    page = (run.folder / "report.html").read_text()
    assert all(f"temperature {heat}" in page for heat in (0.5, 0.8, 1))


@pytest.mark.slow
def test_names_are_less_surprising_than_without_training(monkeypatch, tmp_path):
    monkeypatch.undo()
    run = recipes.run("name_generation", out=tmp_path / "run", quiet=True, data_dir=data_dir("names_by_language"))
    assert run.metrics["nats_per_character"] < 2.2
