"""Recipes that go on with a text: their data, their figures against NumPy, what is refused."""

import dataclasses
import math
from pydoc_data.topics import topics
from unittest.mock import ANY

import numpy as np
import pytest

import recipes
from recipes import judging
from recipes.data import Stream
from recipes.errors import RecipeError, UsageError
from recipes.language_data import ROW, TextRows
from recipes.recipe import configure
from recipes.vocabulary import SPECIAL, UNKNOWN
from tests.recipes.real_data import data_dir
from tests.recipes.small_datasets import lay_small
from tests.recipes.small_text import WORDS, own, sentences


def whole(part: Stream | TextRows) -> np.ndarray:
    """All ids of a part."""
    if isinstance(part, Stream):
        return np.append(part.inputs["token_ids"], part.targets[-1])
    return np.append(part.inputs["token_ids"].values, part.targets.values[-1])


def read(data, part: str) -> str:
    ids, vocabulary = whole(getattr(data, part)), data.metadata["vocabulary"]
    return "".join(vocabulary[token] for token in ids)


def test_the_parts_are_the_text_from_its_beginning(text_file):
    data = own(text=str(text_file)).load_data()
    text = text_file.read_text()
    parts = [read(data, part) for part in ("train", "validation", "test")]
    assert "".join(parts) == text
    assert all(part.endswith("\n") for part in parts)
    assert [round(len(part) / len(text), 1) for part in parts] == [0.8, 0.1, 0.1]
    # The target is the next token.
    for part in (data.train, data.validation):
        np.testing.assert_array_equal(part.inputs["token_ids"][1:], part.targets[:-1])


def test_the_vocabulary_is_the_training_parts(tmp_path):
    path = tmp_path / "book.txt"
    # "Z" and "zebra" are at the end only, "q" and "quagga" once in what is learned from.
    path.write_text("quagga\n" + sentences(100) + "Zebra zebra\n" * 3, encoding="utf-8")
    for tokens, strange in (("characters", "Zzqu"), ("words", ("quagga", "zebra", "Zebra"))):
        data = own(text=str(path), tokens=tokens).load_data()
        vocabulary = data.metadata["vocabulary"]
        known = set(sentences(100)) if tokens == "characters" else {*sentences(100).split(), "\n"}
        assert set(vocabulary) == known | set(SPECIAL)
        assert vocabulary[: len(SPECIAL)] == list(SPECIAL)
        assert not set(strange) & set(vocabulary)
        last = whole(data.test)[-3:]
        # "Zebra zebra\n" or, as characters, "r", "a" and the end of the line
        expected = [vocabulary.index(token) if token in known else UNKNOWN for token in ("r", "a", "\n")]
        if tokens == "words":
            expected = [UNKNOWN, UNKNOWN, vocabulary.index("\n")]
        assert last.tolist() == expected
    # A prompt with strange words is read as texts are; a strange character is a mistake.
    assert data.metadata["unknown_id"] == UNKNOWN
    assert "unknown_id" not in own(text=str(path)).load_data().metadata


def test_the_commonest_words_are_kept(text_file):
    data = own(text=str(text_file), tokens="words", vocabulary_size=len(SPECIAL) + 3).load_data()
    lines = text_file.read_text().splitlines()[:96]
    counts = {word: sum(line.split().count(word) for line in lines) for word in WORDS}
    commonest = sorted(counts, key=lambda word: (-counts[word], word))[:2]
    assert data.metadata["vocabulary"] == [*SPECIAL, "\n", *commonest]


@pytest.mark.parametrize(
    ("fields", "content", "error", "words"),
    [
        ({}, None, UsageError, r"needs a text to learn from: --text file\.txt"),
        ({"text": "book.txt"}, "short\n" * 10, RecipeError, r"validation part has 6 of the 9 characters needed"),
        ({"text": "book.txt"}, " \n", RecipeError, r"book\.txt: expected a text, found an empty file"),
        ({"text": "bok.txt"}, "a", RecipeError, r"there is no file bok\.txt; did you mean 'book\.txt'"),
        ({"text": "book.txt"}, b"ab\nc\xff\n", RecipeError, r"book\.txt, line 2: expected text in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_text(tmp_path, monkeypatch, fields, content, error, words):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "book.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=words) as caught:
        own(**fields).load_data()
    assert "\n" not in str(caught.value)


def test_rows_hold_each_token_as_a_target_once():
    ids = np.random.default_rng(0).integers(4, 50, 2 * ROW["characters"] + 101).astype("int32")
    rows = TextRows.of(ids, [str(i) for i in range(50)], "characters")
    assert rows.size == len(ids) - 1
    assert [len(row) for row in rows.targets] == [ROW["characters"], ROW["characters"], 100]
    np.testing.assert_array_equal(np.concatenate(list(rows.inputs["token_ids"])), ids[:-1])
    np.testing.assert_array_equal(np.concatenate(list(rows.targets)), ids[1:])


@pytest.mark.parametrize("tokenisation", ["characters", "words"])
def test_figures_against_numpy(tokenisation):
    random = np.random.default_rng(1)
    ids = random.integers(1, 9, 2 * ROW[tokenisation] // 3 * 2).astype("int32")
    rows = TextRows.of(ids, [str(i) for i in range(9)], tokenisation)
    recipe = own()

    def runtime(inputs):
        # The scores of a step depend on its token alone, large enough for an exponential to overflow.
        return {"logits": 300 * np.sin(inputs["token_ids"][..., None] * np.arange(1.0, 10)).astype("float32")}

    metrics = recipe.judge(judging.outputs_on(recipe, runtime, rows), rows).metrics
    scores = runtime({"token_ids": ids[:-1]})["logits"].astype("float64")
    highest = scores.max(axis=1)
    log_p = scores[np.arange(len(ids) - 1), ids[1:]] - highest - np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    nats = -log_p.mean()
    if tokenisation == "words":
        assert list(metrics) == ["perplexity", "nats_per_word"]
        assert metrics["perplexity"] == pytest.approx(math.exp(nats), rel=1e-4)
    else:
        assert list(metrics) == ["nats_per_character", "bits_per_character"]
        assert metrics["bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-5)
    assert list(metrics.values())[tokenisation == "words"] == pytest.approx(nats, rel=1e-5)


def test_topics_share_no_paragraph():
    data = recipes.get_recipe("python_docs").load_data()
    parts = {part: read(data, part) for part in ("train", "validation", "test")}
    paragraphs = {part: {piece.strip() for piece in text.split("\n\n")} - {""} for part, text in parts.items()}
    assert not paragraphs["train"] & paragraphs["test"]
    assert not paragraphs["train"] & paragraphs["validation"]
    assert not paragraphs["validation"] & paragraphs["test"]
    sizes = {part: len(text) / sum(map(len, parts.values())) for part, text in parts.items()}
    assert sizes == {"train": pytest.approx(0.8, abs=0.02), "validation": pytest.approx(0.1, abs=0.02), "test": ANY}
    # Nothing else is left out: whatever the topics say stands in one of the parts.
    said = {piece.strip() for text in topics.values() for piece in text.split("\n\n")} - {""}
    together = "".join(parts.values())
    assert sum(map(len, said)) == pytest.approx(len(together), rel=0.02)
    assert sum(piece in together for piece in said) > 0.98 * len(said), "but for characters that are seen once"
    other = dataclasses.replace(recipes.get_recipe("python_docs"), seed=5).load_data()
    np.testing.assert_array_equal(whole(other.test), whole(data.test))


def test_words_of_the_treebank(tmp_path, monkeypatch):
    lay_small(monkeypatch, tmp_path, "penn_treebank")
    recipe = configure(recipes.get_recipe("penn_treebank"), {"data_dir": str(tmp_path), "batch_size": 4})
    data = recipe.load_data()
    vocabulary = data.metadata["vocabulary"]
    # Its own <unk> is the vocabulary's; so are words that only the other parts have.
    expected = ["the", "test", "of", "<unk>", "rose", "N", "\n", "a", "second", "line", "\n"]
    known = {"the", "train", "of", "rose", "N", "\n", "a", "second", "line"}
    assert set(vocabulary) == known | set(SPECIAL)
    assert [vocabulary[token] for token in whole(data.test)] == [
        word if word in known else "<unk>" for word in expected
    ]
    assert data.metadata["start_id"] == vocabulary.index("\n")


def test_the_island_is_read_as_characters(tmp_path, monkeypatch):
    lay_small(monkeypatch, tmp_path, "mysterious_island")
    recipe = configure(recipes.get_recipe("mysterious_island"), {"data_dir": str(tmp_path), "batch_size": 4})
    data = recipe.load_data()
    assert "Café line.\nCafé line.\n" in read(data, "train")
    assert data.test.prompts[0]


@pytest.mark.parametrize("name", ["penn_treebank", "mysterious_island"])
def test_published_texts(name):
    data = configure(recipes.get_recipe(name), {"data_dir": data_dir(name)}).load_data()
    sizes = tuple(len(whole(getattr(data, part))) for part in ("train", "validation", "test"))
    if name == "penn_treebank":
        # As Mikolov et al. and all after them count, ends of sentences among the words
        assert sizes == (929_589, 73_760, 82_430)
        assert len(set(whole(data.train).tolist())) == 10_000
    else:
        assert sizes == (1_001_115, 55_617, 55_618)
    recipe = recipes.get_recipe(name)
    known = set(data.metadata["vocabulary"])
    for prompt in recipe.PROMPTS:
        assert set(prompt.split() if name == "penn_treebank" else prompt) <= known
