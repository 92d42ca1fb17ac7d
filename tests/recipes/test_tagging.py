"""Tagged words: the parts, what a tagger reads, the metrics, a whole run."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, f1_score

import export
import recipes
from recipes import pipelines, report_text, training
from recipes.data import Ragged
from recipes.errors import RecipeError, UsageError
from recipes.recipe import configure
from recipes.tagged_words import read_words
from tests.recipes.real_data import data_dir

VERBS, NOUNS = ("walking", "Running", "jumped", "talked"), ("tables", "Houses", "rivers", "trees")


def sentences(count: int, seed: int) -> list[list[tuple[str, str]]]:
    random = np.random.default_rng(seed)
    return [
        [
            (word, "VERB" if word in VERBS else "NOUN" if word in NOUNS else "PUNCT")
            for word in [*random.choice([*VERBS, *NOUNS], random.integers(1, 9)), f".{number}"]
        ]
        for number in range(count)
    ]


@pytest.fixture
def conll_file(tmp_path):
    path = tmp_path / "mine.conllu"
    blocks = [
        "\n".join(f"{place}\t{word}\t_\t{tag}\t_\t_\t0\t_\t_\t_" for place, (word, tag) in enumerate(row, start=1))
        for row in [*sentences(60, 0), *sentences(3, 0)]
    ]
    path.write_text("\n\n".join(blocks) + "\n")
    return path


def own(path, **fields):
    return configure(recipes.get_recipe("tag"), {"conll": str(path)} | fields)


@pytest.fixture
def data(conll_file):
    return own(conll_file, word_length=6).load_data()


def test_equal_sentences_are_in_one_part(data):
    parts = [{tuple(words) for words in part.texts} for part in (data.train, data.validation, data.test)]
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == 63
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_vocabularies_are_of_the_training_part(data):
    seen = {word for words in data.train.texts for word in words}
    assert {*data.metadata["vocabulary"][4:]} == {word.lower() for word in seen}
    assert {*data.metadata["characters"][4:]} == {letter for word in seen for letter in word}
    # The last word of each sentence is its own.
    assert all(data.test.inputs["token_ids"][row][-1] == 1 for row in range(len(data.test)))


def test_words_are_read_from_their_end_with_their_case(data):
    known, letters = data.metadata["vocabulary"], data.metadata["characters"]
    rows = read_words([["Running", "Trees", "\u00e9"]], data.metadata)
    assert [known[place] for place in rows["token_ids"][0]] == ["running", "trees", "<unk>"]
    spelled = [[letters[place] for place in word] for word in rows["character_ids"][0]]
    assert spelled == [list("unning"), ["<unk>", *"rees", "<pad>"], ["<unk>", *["<pad>"] * 5]]


def test_rare_words_are_hidden_more_often(conll_file):
    recipe = own(conll_file, word_dropout=1.0)
    data = recipe.load_data()
    ids = tf.constant(np.tile(np.arange(len(data.metadata["vocabulary"])), (4000, 1)), tf.int32)
    batch = {"token_ids": ids, "character_ids": ids[..., None]}
    hidden = data.augment(batch, tf.constant([1, 2], tf.int64))
    np.testing.assert_array_equal(hidden["character_ids"], batch["character_ids"])
    ids, after = ids.numpy(), hidden["token_ids"].numpy()
    assert ((after == ids) | (after == 1)).all()
    counts = np.bincount(data.train.inputs["token_ids"].values, minlength=ids.shape[1])
    shares = (after != ids).mean(axis=0)
    np.testing.assert_allclose(shares[4:], 1 / (1 + counts[4:]), atol=0.04)
    assert shares[0] == 0, "padding stays padding"
    assert own(conll_file, word_dropout=0.0).load_data().augment is None


def test_metrics_are_scikit_learns(conll_file, data):
    recipe, truth = own(conll_file), data.test.targets
    named = np.random.default_rng(0).integers(0, len(data.labels), len(truth.values))
    verdict = recipe.judge({"tags": Ragged(named, truth.lengths)}, data.test)
    unknown = data.test.inputs["token_ids"].values == 1
    assert list(verdict.metrics) == ["accuracy", "unknown_word_accuracy", "macro_f1"]
    assert verdict.metrics["accuracy"] == pytest.approx(accuracy_score(truth.values, named))
    assert verdict.metrics["unknown_word_accuracy"] == pytest.approx((named == truth.values)[unknown].mean())
    assert verdict.metrics["macro_f1"] == pytest.approx(f1_score(truth.values, named, average="macro"))
    confusion, confused, mistakes = (draw() for draw in verdict.sections)
    wrong = int((named != truth.values).sum())
    assert confused.caption.startswith(f"{wrong} words")
    assert confusion.html
    assert mistakes.html


def test_a_perfect_tagger_has_a_page_too(conll_file, data):
    verdict = own(conll_file).judge({"tags": data.test.targets}, data.test)
    assert verdict.metrics["accuracy"] == 1
    assert [draw().title for draw in verdict.sections][2] == "Sentences with mistakes"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("sequence_classifier", "it is many-to-one, not many-to-many"),
        ("conditional_rnn", "tag can't use conditional_rnn: it reads true_labels too"),
        ("sequence_taggre", "did you mean 'sequence_tagger'"),
    ],
)
def test_models_that_do_not_fit(conll_file, model, words):
    recipe = own(conll_file, model=model)
    with pytest.raises(UsageError, match=words):
        recipe.build_model(recipe.load_data())


def test_a_tagger_of_words_alone_reads_no_spelling(conll_file):
    recipe = own(conll_file, model="bidirectional_tagger")
    data = recipe.load_data()
    assert list(data.train.inputs) == ["token_ids"]
    assert "characters" not in data.metadata
    assert [tensor.name for tensor in recipe.build_model(data).inputs] == ["token_ids"]


def test_tags_that_are_named_jointly(conll_file):
    recipe = own(conll_file, model="crf_tagger", units=(3,), embedding=4)
    data, objective = recipe.load_data(), recipe.objective()
    model = recipe.build_model(data)
    training.compile_model(model, recipe, objective, data)
    inputs, targets, weights = data.train.batch(np.arange(7))
    outputs = model(inputs["token_ids"])
    chain, lengths = model.get_layer("tags"), weights.sum(axis=1).astype(int)
    alone = [
        chain.log_likelihood(outputs["logits"][row : row + 1, :length], targets[row : row + 1, :length])
        for row, length in enumerate(lengths)
    ]
    loss = model.compute_loss(y=targets, y_pred=outputs, sample_weight=tf.constant(weights))
    assert float(loss) == pytest.approx(-float(sum(alone)[0]) / lengths.sum(), rel=1e-5)
    measured = model.compute_metrics(None, targets, outputs, weights)
    named = recipe.condense({name: output.numpy() for name, output in outputs.items()}, inputs, targets)["tags"]
    assert float(measured["accuracy"]) == pytest.approx((named == targets)[weights > 0].mean())
    np.testing.assert_array_equal(named, outputs["tags"])


def test_files_that_teach_nothing(tmp_path):
    path = tmp_path / "few.conll"
    path.write_text("a X\n\na X\n\nb Y\n")
    with pytest.raises(RecipeError, match="3 sentences are too few to split 80/10/10"):
        own(path).load_data()
    path.write_text("a X\nb\n")
    with pytest.raises(RecipeError, match="line 2"):
        own(path).load_data()
    with pytest.raises(UsageError, match="tag needs a file: --conll FILE"):
        recipes.get_recipe("tag").load_data()


def test_words_that_are_written_together_count_as_their_parts(monkeypatch):
    row = {"tokens": ["I", "don't", "do", "n't", "go"], "upos": ["PRON", "_", "AUX", "PART", "VERB"]}
    monkeypatch.setattr("recipes.datasets.load", lambda *_: {"train": [row], "dev": [row], "test": [row]})
    data = recipes.get_recipe("pos_tagging").load_data()
    assert data.labels == ("AUX", "PART", "PRON", "VERB")
    assert data.test.texts == [["I", "do", "n't", "go"]]
    verdict = recipes.get_recipe("pos_tagging").judge({"tags": data.test.targets}, data.test)
    assert next(iter(verdict.metrics)) == "upos_accuracy"


def test_batches_have_no_weight_where_there_is_padding(conll_file, data):
    model = own(conll_file, word_length=6).build_model(data)
    for inputs, targets, weights in pipelines.training_stream(data, model, batch_size=8, seed=0, first=0, epochs=1):
        np.testing.assert_array_equal(weights, inputs["character_ids"][..., 0] != 0)
        assert inputs["character_ids"].shape == (*targets.shape, 6)


def test_mistakes_are_marked():
    html = report_text.tagged(["a", "<b>"], ["X", "Y"], ["X", "Z"], "")
    assert "&lt;b&gt;" in html
    assert html.count("<s ") == 1
    assert "wrong" in html


def test_a_whole_run(conll_file, tmp_path):
    small = {"units": (6,), "embedding": 6, "filters": 12, "character_embedding": 8, "word_length": 6, "batch_size": 8}
    training = {"epochs": 6, "learning_rate": 0.03}
    run = recipes.run("tag", out=tmp_path / "run", quiet=True, conll=str(conll_file), **small, **training)
    assert run.metrics["unknown_word_accuracy"] >= 0.7, "a dot in front is to be seen in the spelling"
    assert [row["metrics"] for row in run.results["artifacts"]] == [run.metrics] * 3
    # From words to tags with nothing but the file.
    runtime = export.load_runtime(next(run.folder.glob("exports/*.tflite")))
    rows = read_words(run.data.test.texts, runtime.metadata)
    right = total = 0
    for place, words in enumerate(run.data.test.texts):
        logits = runtime({name: column[place][None] for name, column in rows.items()})["logits"][0]
        right += (logits.argmax(axis=-1) == run.data.test.targets[place]).sum()
        total += len(words)
    assert right / total == pytest.approx(run.metrics["accuracy"])


@pytest.mark.slow
def test_a_run_that_names_tags_jointly(conll_file, tmp_path):
    fields = {"model": "crf_tagger", "units": (6,), "embedding": 6, "batch_size": 8, "epochs": 6, "learning_rate": 0.03}
    run = recipes.run("tag", out=tmp_path / "run", quiet=True, conll=str(conll_file), **fields)
    assert run.metrics["accuracy"] >= 0.7
    assert [row["metrics"] for row in run.results["artifacts"]] == [run.metrics] * 3


@pytest.mark.slow
def test_parts_of_speech_are_named(tmp_path):
    run = recipes.run(
        "pos_tagging", out=tmp_path / "run", quiet=True, data_dir=data_dir("universal_dependencies/en_ewt")
    )
    assert run.metrics["upos_accuracy"] >= 0.92
