"""Trees: how batches are made of them, what is counted, and a small run."""

import random

import numpy as np
import pytest

import recipes
from recipes import judging, pipelines
from recipes.data import Ragged
from recipes.errors import RecipeError
from recipes.labelled_trees import RootAccuracy, TreeSplit, tree_of
from recipes.recipe import configure
from recipes.vocabulary import SPECIAL, UNKNOWN, Vocabulary
from tests.recipes.small_datasets import SMALL, lay_small
from zoo.trees import Tree, pack_labels, pack_trees

WORDS = {"awful": 0, "bad": 1, "film": 2, "plot": 2, "good": 3, "great": 4}
FIELDS = {"epochs": 8, "units": 12, "embedding": 8, "learning_rate": 0.02, "dropout": 0.0, "batch_size": 16}


def bracketed(draw: random.Random, words: int) -> tuple[str, int]:
    """A random tree whose nodes feel what the worst or best word below them feels."""
    if words == 1:
        word, label = draw.choice(list(WORDS.items()))
        return f"({label} {word.title()})", label
    left = draw.randint(1, words - 1)
    (one, first), (two, second) = bracketed(draw, left), bracketed(draw, words - left)
    label = first if abs(first - 2) >= abs(second - 2) else second
    return f"({label} {one} {two})", label


def files() -> dict[str, bytes]:
    draw = random.Random(0)
    sizes = {"train": 240, "dev": 40, "test": 40}
    trees = {part: [bracketed(draw, draw.randint(1, 7))[0] for _ in range(count)] for part, count in sizes.items()}
    trees["test"][0] = "(3 (2 only-here) (3 Good))"
    return {f"trees/{part}.txt": "\n".join([*lines, ""]).encode() for part, lines in trees.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SMALL, "sentiment_treebank", files())
        yield str(lay_small(patch, tmp_path_factory.mktemp("raw"), "sentiment_treebank"))


@pytest.fixture(scope="module")
def recipe(folder):
    return configure(recipes.get_recipe("sentiment_trees"), {"data_dir": folder, **FIELDS})


@pytest.fixture(scope="module")
def data(recipe):
    return recipe.load_data()


def random_tree(draw: random.Random, words: int) -> Tree:
    if words == 1:
        return Tree(draw.choice(["a", "b", "c"]), label=draw.randrange(5))
    left = draw.randint(1, words - 1)
    return Tree(children=(random_tree(draw, left), random_tree(draw, words - left)), label=draw.randrange(5))


def test_a_batch_is_what_the_zoo_packs_of_the_same_trees() -> None:
    draw = random.Random(1)
    trees = [random_tree(draw, draw.randint(1, 9)) for _ in range(40)]
    vocabulary = Vocabulary.of([["a", "b"]])
    split = TreeSplit.of(trees, vocabulary)
    for rows in (np.array([3, 8, 1]), np.arange(40), np.array([next(i for i, t in enumerate(trees) if not t.depth)])):
        chosen = [trees[row] for row in rows]
        inputs, labels, weights = split.batch(rows)
        known = {"a": vocabulary.ids("a")[0], "b": vocabulary.ids("b")[0]}
        packed = pack_trees(chosen, vocabulary=known, unknown=UNKNOWN, width=split.width)
        for name, array in packed.items():
            np.testing.assert_array_equal(inputs[name], array)
            assert inputs[name].dtype == array.dtype
        truth = pack_labels(chosen)
        np.testing.assert_array_equal(weights, truth >= 0)
        np.testing.assert_array_equal(labels * (weights > 0), np.maximum(truth, 0))
    np.testing.assert_array_equal(split.roots, [tree.label for tree in trees])


def test_an_example_becomes_the_tree_it_is_of() -> None:
    example = {
        "tokens": ["Not", "Bad"],
        "node_labels": np.array([1, 0, 3]),
        "children": np.array([[-1, -1], [-1, -1], [0, 1]]),
    }
    assert tree_of(example) == Tree(children=(Tree("not", label=1), Tree("bad", label=0)), label=3)


def test_words_below_are_counted() -> None:
    tree = Tree(
        children=(Tree("a", label=0), Tree(children=(Tree("b", label=0), Tree("a", label=0)), label=0)), label=0
    )
    split = TreeSplit.of([tree], Vocabulary.of([["a"]]))
    assert split.sizes(0).tolist() == [0, 1, 1, 1, 2, 3]


def test_the_vocabulary_is_the_training_part_s(data) -> None:
    assert set(data.metadata["vocabulary"]) == {*SPECIAL, *WORDS}
    assert data.test.inputs["token_ids"][0].tolist()[1] == UNKNOWN
    assert (len(data.train), len(data.validation), len(data.test)) == (240, 40, 40)


def test_the_root_counts_wherever_it_stands() -> None:
    metric = RootAccuracy("accuracy")
    labels = np.array([[0, 1, 1, 4], [0, 3, 0, 0]])
    named = np.array([[0, 0, 0, 4], [0, 3, 2, 2]])
    weights = np.array([[0, 1, 1, 1], [0, 1, 0, 0]], "float32")
    metric.update_state(labels, np.eye(5)[named], weights)
    assert float(metric.result()) == 1.0
    named[1, 1] = 2
    metric.update_state(labels, np.eye(5)[named], weights)
    assert float(metric.result()) == 0.75


def test_judge_counts_roots_poles_and_nodes(recipe, data) -> None:
    split = data.test
    logits = Ragged.of((row[None] for row in np.eye(5)[split.roots] * 9), dtype="float32")
    perfect = {"logits": logits, "named": split.targets}
    assert recipe.judge(perfect, split).metrics == {"accuracy": 1.0, "binary_accuracy": 1.0, "node_accuracy": 1.0}
    # One class further from the middle, or from the end towards it, is wrong in five classes and right in two.
    near = np.array([1, 0, 2, 4, 3])[split.roots]
    verdict = recipe.judge(
        {**perfect, "logits": Ragged.of((row[None] for row in np.eye(5)[near] * 9), dtype="f4")}, split
    )
    assert verdict.metrics["accuracy"] == pytest.approx(np.mean(split.roots == 2))
    assert verdict.metrics["binary_accuracy"] == 1.0
    confusion, lengths, trees = (draw() for draw in verdict.sections)
    assert "40 test trees" in confusion.caption
    assert "100%" in lengths.html
    assert trees.html.count("<svg") >= 1


def test_words_are_hidden_and_nothing_else(recipe, data) -> None:
    inputs, _, _ = data.train.batch(np.arange(100))
    hidden = {name: np.array(array) for name, array in recipe._hide(inputs, [1, 2]).items()}
    changed = hidden["token_ids"] != inputs["token_ids"]
    assert 0.01 < changed[inputs["token_ids"] > 0].mean() < 0.12
    assert (hidden["token_ids"][changed] == UNKNOWN).all()
    assert not changed[inputs["token_ids"] == 0].any()
    np.testing.assert_array_equal(hidden["schedule"], inputs["schedule"])


def test_the_whole_model_has_the_trained_weights(recipe, data) -> None:
    model = recipe.build_model(data)
    (deployment,) = recipe.deployments(model, data)
    inputs, _, _ = data.test.batch(np.arange(40))
    nodes = judging.keras_predict(model)(inputs)["node_logits"]
    both = judging.keras_predict(deployment.model)(inputs)
    np.testing.assert_allclose(both["node_logits"], nodes, atol=1e-6)
    roots = data.test.targets.lengths - 1
    np.testing.assert_allclose(both["logits"], nodes[np.arange(40), roots], atol=1e-6)
    stream = pipelines.training_stream(data, model, batch_size=16, seed=0, first=0, epochs=1)
    assert len(list(stream)) == pipelines.steps_per_epoch(data.train, 16) == 15


@pytest.mark.slow
def test_a_small_run_learns_what_words_feel(folder, tmp_path) -> None:
    run = recipes.run("sentiment_trees", out=tmp_path / "run", quiet=True, data_dir=folder, **FIELDS)
    assert run.metrics["accuracy"] > 0.8
    for row in run.results["artifacts"]:
        assert row["metrics"] == pytest.approx(run.metrics, abs=0.03)
    page = (run.folder / "report.html").read_text()
    for words in ("Confusion matrix", "Phrases by length", "raters:"):
        assert words in page


def test_a_broken_tree_is_named(tmp_path, monkeypatch) -> None:
    broken = files()
    broken["trees/dev.txt"] = broken["trees/dev.txt"].replace(b"\n", b")\n", 1)
    monkeypatch.setitem(SMALL, "sentiment_treebank", broken)
    raw = lay_small(monkeypatch, tmp_path, "sentiment_treebank")
    with pytest.raises(RecipeError, match=r"dev\.txt.*line 1"):
        configure(recipes.get_recipe("sentiment_trees"), {"data_dir": str(raw)}).load_data()
