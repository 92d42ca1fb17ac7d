"""Translation: its data, its scores, and a small run whose files translate."""

import dataclasses
import random

import numpy as np
import pytest

import export
import recipes
from recipes import judging, teacher_forcing
from recipes.data import Ragged
from recipes.errors import RecipeError, UsageError
from recipes.recipe import configure
from recipes.report_attention import attention_map
from recipes.vocabulary import END, PADDING, SPECIAL, START, UNKNOWN, Vocabulary
from tests.recipes.small_datasets import SMALL, lay_small

GERMAN = ["hund", "katze", "mann", "frau", "läuft", "sitzt", "rot", "blau", "groß", "klein"]
ENGLISH = ["dog", "cat", "man", "woman", "runs", "sits", "red", "blue", "big", "small"]
FIELDS = {
    "epochs": 12,
    "encoder_units": (24,),
    "decoder_units": (24,),
    "embedding": 16,
    "dropout": 0.0,
    "learning_rate": 0.02,
    "beam_width": 3,
    "max_length": 9,
    "batch_size": 32,
}


def files() -> dict[str, bytes]:
    """A language of ten words, each with one translation; the test part has a word that is nowhere else."""
    draw = random.Random(0)
    content = {}
    for part, count in {"train": 300, "val": 40, "test_2016_flickr": 25}.items():
        rows = [[draw.randrange(10) for _ in range(draw.randint(2, 6))] for _ in range(count)]
        for language, words in {"de": GERMAN, "en": ENGLISH}.items():
            lines = [" ".join([*(words[place] for place in row), "."]) for row in rows]
            if part == "test_2016_flickr":
                lines[-1] = f"only-{language} ."
            content[f"tok/{part}.lc.norm.tok.{language}"] = "\n".join([*lines, ""]).encode()
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SMALL, "multi30k/tok", files())
        yield str(lay_small(patch, tmp_path_factory.mktemp("raw"), "multi30k/tok"))


@pytest.fixture(scope="module")
def data(folder):
    return configure(recipes.get_recipe("translation"), {"data_dir": folder}).load_data()


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return recipes.run("translation", out=out, quiet=True, data_dir=folder, **FIELDS)


def test_a_vocabulary_counts_and_knows_its_special_tokens() -> None:
    vocabulary = Vocabulary.of([["b", "a", "b"], ["a", "c", "</s>"]], min_count=2)
    assert vocabulary.tokens == (*SPECIAL, "a", "b")
    assert (PADDING, UNKNOWN, START, END) == (0, 1, 2, 3)
    assert vocabulary.ids(["b", "c", "</s>"]) == [5, UNKNOWN, UNKNOWN]
    assert vocabulary.read([4, 0, 5, END, 4]) == ["a", "b"]


def test_the_decoder_reads_the_target_one_step_late(data) -> None:
    reads, targets = data.train.inputs["decoder_token_ids"], data.train.targets
    for row in range(20):
        assert reads[row][0] == START
        assert targets[row][-1] == END
        np.testing.assert_array_equal(reads[row][1:], targets[row][:-1])
        assert data.train.vocabulary.read(targets[row]) == list(data.train.references[row])


def test_vocabularies_are_the_training_part_s(data) -> None:
    assert set(data.metadata["source_vocabulary"]) == {*SPECIAL, *GERMAN, "."}
    assert set(data.metadata["vocabulary"]) == {*SPECIAL, *ENGLISH, "."}
    assert data.test.inputs["encoder_token_ids"][24][0] == UNKNOWN
    assert data.test.references[24] == ["only-en", "."]
    assert (len(data.train), len(data.validation), len(data.test)) == (300, 40, 25)


def test_scores_are_those_of_sacrebleu_and_of_the_equation(data) -> None:
    recipe = recipes.get_recipe("translation")
    perfect = Ragged.of([[ids] for ids in _padded(data.test.targets, 9)], dtype="int32")
    verdict = recipe.judge({"generated_ids": perfect}, data.test)
    # One of 25 references has a word that can't be written; all else is right.
    assert 95 < verdict.metrics["bleu"] < 100
    assert verdict.sections == ()
    nll = Ragged.of([[0.5, 1.5], [4.0]], dtype="float32")
    assert recipe.judge({"nll": nll}, data.test).metrics == {"perplexity": pytest.approx(np.exp(2.0))}


def _padded(targets: Ragged, length: int) -> list[np.ndarray]:
    return [np.pad(targets[row], (0, length - len(targets[row]))) for row in range(len(targets))]


def test_the_likelihood_is_the_softmax_s() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32") * 30
    targets = np.array([[0, 4, 2], [1, 1, 3]])
    shares = np.exp(logits.astype("float64")) / np.exp(logits.astype("float64")).sum(-1, keepdims=True)
    expected = [[-np.log(shares[i, t, targets[i, t]]) for t in range(3)] for i in range(2)]
    np.testing.assert_allclose(teacher_forcing.negative_log_likelihood(logits, targets), expected, rtol=1e-4, atol=1e-5)


def test_what_is_judged_decodes_both_ways_beside_teacher_forcing(data) -> None:
    recipe = configure(recipes.get_recipe("translation"), FIELDS)
    model = recipe.build_model(data)
    judged, forced, translator = recipe.deployments(model, data)
    assert judged.formats == ()
    assert forced.model is model
    outputs = judging.outputs_on(recipe, judging.keras_predict(judged.model), data.test)
    verdict = recipe.judge(outputs, data.test)
    assert list(verdict.metrics) == ["bleu", "bleu_greedy", "perplexity"]
    rows = verdict.sections[0]()
    assert "only-en" in rows.html
    # An untrained model knows nothing: about as perplexed as there are words.
    assert 8 < verdict.metrics["perplexity"] < 25
    sources = data.test.to_read
    alone = judging.outputs_on(recipe, judging.keras_predict(translator.model), sources)
    for row in range(len(sources)):
        np.testing.assert_array_equal(np.ravel(alone["generated_ids"][row]), np.ravel(outputs["generated_ids"][row]))
    assert recipe.judge(alone, sources).metrics == {"bleu": verdict.metrics["bleu"]}


@pytest.mark.slow
def test_a_small_run_learns_its_language_and_its_files_translate(run) -> None:
    assert run.metrics["bleu"] > 60
    assert run.metrics["bleu"] >= run.metrics["bleu_greedy"] - 2
    assert run.metrics["perplexity"] < 3
    rows = {row["file"]: row["metrics"] for row in run.results["artifacts"]}
    assert set(rows) == {
        f"{stem}{suffix}" for stem in ("model", "translator") for suffix in (".saved_model", ".tflite", ".onnx")
    }
    for file, metrics in rows.items():
        name = "bleu" if file.startswith("translator") else "perplexity"
        assert metrics == {name: pytest.approx(run.metrics[name], rel=1e-4)}
    write = export.TextGenerator(run.folder / "exports" / "translator.onnx")
    assert write("hund läuft .") == "dog runs ."
    assert write("hund unbekannt .")


@pytest.mark.slow
def test_the_page_shows_translations_and_where_the_model_looked(run) -> None:
    page = (run.folder / "report.html").read_text()
    for words in ("Translations", "Attention", "beam search", "attention from"):
        assert words in page


def test_attention_can_be_left_out(data) -> None:
    for fields, name in [({}, "attention_encoder_decoder"), ({"attention": "none"}, "encoder_decoder")]:
        recipe = configure(recipes.get_recipe("translation"), {**FIELDS, **fields})
        model = recipe.build_model(data)
        assert model.name == name
        assert model.get_layer("encoder_embedding").output_dim == FIELDS["embedding"]
    assert recipe.illustrate(model, data) == ()
    with pytest.raises(UsageError, match="translation"):
        dataclasses.replace(recipe, model="sequence_classifier").build_model(data)


def test_a_broken_file_is_named(folder, tmp_path, monkeypatch) -> None:
    broken = files()
    broken["tok/val.lc.norm.tok.en"] = broken["tok/val.lc.norm.tok.en"].rpartition(b"\n")[0].rpartition(b"\n")[0]
    monkeypatch.setitem(SMALL, "multi30k/tok", broken)
    raw = lay_small(monkeypatch, tmp_path, "multi30k/tok")
    with pytest.raises(RecipeError, match=r"val\.lc\.norm\.tok"):
        configure(recipes.get_recipe("translation"), {"data_dir": str(raw)}).load_data()


def test_an_attention_map_has_a_cell_for_each_weight() -> None:
    weights = np.array([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    figure = attention_map(weights, ["a", "</s>"], ["x", "y", "z"], "label")
    assert figure.count("opacity: 0.7") == 1
    assert figure.count("var(--accent") == 3
    with pytest.raises(ValueError, match=r"weights \(2, 3\) do not fit 3 tokens written, 2 read"):
        attention_map(weights, ["a", "b", "c"], ["x", "y"], "label")
