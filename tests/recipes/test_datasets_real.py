"""The published files, where they are at hand: counted as those who published them count."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest

from recipes import datasets
from recipes.datasets.fetching import builder_of
from tests.recipes.real_data import FOLDERS, data_dir
from tests.recipes.small_datasets import refusal

ONE_EXAMPLE = ("hours", "values", "characters")


@functools.cache
def load(name: str):
    return datasets.load(name, data_dir(name))


@pytest.mark.parametrize("name", FOLDERS)
def test_every_form_has_the_counts_of_its_table(name) -> None:
    source = builder_of(name)
    for form, counts in source.COUNTS.items():
        if name == "babi" and form not in ("qa1", "qa20", "qa2_10k"):
            continue
        splits = load(f"{name}/{form}" if form else name)
        found = [
            len(next(iter(examples[0].values()))) if source.UNIT in ONE_EXAMPLE else len(examples)
            for examples in splits.values()
        ]
        assert tuple(found) == counts, form


@pytest.mark.slow
@pytest.mark.parametrize("form", builder_of("babi").COUNTS)
def test_every_task_of_babi(form) -> None:
    splits = load(f"babi/{form}")
    assert tuple(map(len, splits.values())) == builder_of("babi").COUNTS[form]


def test_penn_treebank_has_the_published_tokens() -> None:
    splits = load("penn_treebank")
    # One <eos> a line.
    tokens = {split: sum(len(row["text"].split()) + 1 for row in rows) for split, rows in splits.items()}
    assert tokens == {"train": 929_589, "validation": 73_760, "test": 82_430}
    assert len({word for rows in splits.values() for row in rows for word in row["text"].split()}) == 9_999


def test_the_book_is_that_of_the_notebook() -> None:
    splits = load("mysterious_island")
    text = "".join(splits[split][0]["text"] for split in ("train", "validation", "test"))
    assert len(text) == 1_112_350
    assert len(set(text)) == 80


def test_spoken_digits_are_three_thousand_takes() -> None:
    splits = load("spoken_digits")
    every = [*splits["train"], *splits["test"]]
    assert sum(len(row["audio"]) for row in every) / 8000 == pytest.approx(1312.3, abs=0.05)
    assert {(row["digit"], row["speaker"], row["take"]) for row in every} == {
        (digit, speaker, take)
        for digit in range(10)
        for speaker in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
        for take in range(50)
    }
    assert {row["take"] for row in splits["test"]} == {0, 1, 2, 3, 4}
    assert every[0]["audio"].dtype == np.int16


def test_multi30k_has_the_published_words() -> None:
    train = load("multi30k/tok")["train"]
    assert sum(len(row["en"].split()) for row in train) == 377_534
    assert sum(len(row["de"].split()) for row in train) == 360_706


def test_names_are_split_within_each_language() -> None:
    splits = load("names_by_language")
    assert sum(map(len, splits.values())) == 20_050
    for language in {row["language"] for row in splits["train"]}:
        parts = [[row["name"] for row in rows if row["language"] == language] for rows in splits.values()]
        total = sum(map(len, parts))
        assert all(abs(len(part) - 0.1 * total) <= 2 for part in parts[1:])
        assert sum(len(set(part)) for part in parts) == len({name for part in parts for name in part})


def test_trees_have_the_published_nodes_and_can_be_written_again() -> None:
    splits = load("sentiment_treebank")
    assert [sum(len(row["node_labels"]) for row in rows) for rows in splits.values()] == [318_582, 41_447, 82_600]
    assert [sum(len(row["tokens"]) for row in rows) for rows in splits.values()] == [163_563, 21_274, 42_405]
    labels = np.bincount([row["label"] for row in splits["train"]])
    assert labels.tolist() == [1_092, 2_218, 1_624, 2_322, 1_288]
    for row in splits["validation"]:
        words, written = iter(row["tokens"]), []
        for label, (left, right) in zip(row["node_labels"], row["children"], strict=True):
            inside = next(words) if left < 0 else f"{written[left]} {written[right]}"
            written.append(f"({label} {inside})")
        assert written[-1] == row["tree"]


def test_series_follow_each_other() -> None:
    parts = load("ett/etth1")
    dates = [date for split in ("train", "validation", "test") for date in parts[split][0]["date"]]
    assert dates[0] == "2016-07-01 00:00:00"
    assert dates == sorted(dates)
    assert parts["train"][0]["OT"][0] == np.float32(30.5310001373291)
    assert sum(int(np.isnan(part[0]["value"]).sum()) for part in load("classic_series/co2").values()) == 59


def test_music_words_and_commands_have_the_published_counts() -> None:
    steps = [sum(len(row["notes"]) for row in rows) for rows in load("piano_rolls/jsb_chorales").values()]
    assert steps == [13_807, 4_602, 4_725]
    words = [{row["word"] for row in rows} for rows in load("cmudict").values()]
    assert sum(map(len, words)) == len(set().union(*words)) == 126_052
    commands = load("snips")
    assert [sum(len(row["tokens"]) for row in rows) for rows in commands.values()] == [117_700, 6_384, 6_354]
    assert len({row["intent"] for row in commands["train"]}) == 7
    assert len({tag for row in commands["train"] for tag in row["tags"]}) == 72


def test_tfds_sets_are_read_from_their_folder() -> None:
    splits = load("tiny_shakespeare")
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 1, "validation": 1, "test": 1}
    assert splits["train"][0]["text"].startswith("First Citizen:\nBefore we proceed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("imdb_reviews", {"train": 25_000, "test": 25_000}),
        ("mnist", {"train": 60_000, "test": 10_000}),
        ("universal_dependencies/en_ewt", {"train": 12_544, "dev": 2_001, "test": 2_077}),
        ("scan/length", {"train": 16_990, "test": 3_920}),
    ],
)
def test_tfds_sets_have_their_counts(name, counts) -> None:
    splits = load(name)
    assert {split: len(rows) for split, rows in splits.items()} == counts
    kinds = {"imdb_reviews": {"label": str, "text": str}, "mnist": {"image": np.ndarray, "label": str}}
    for feature, kind in kinds.get(name, {}).items():
        assert isinstance(splits["test"][0][feature], kind)


def test_a_damaged_tfds_folder_is_refused(tmp_path) -> None:
    load("tiny_shakespeare")
    shutil.copytree(Path(data_dir("tiny_shakespeare"), "tiny_shakespeare"), tmp_path / "tiny_shakespeare")
    (record,) = tmp_path.rglob("*train.tfrecord*")
    record.chmod(0o644)
    for folder in tmp_path.rglob("*"):
        folder.chmod(0o755)
    record.write_bytes(record.read_bytes()[:-100])
    assert "split 'train' is damaged" in refusal("tiny_shakespeare", tmp_path)
    record.write_bytes(b"")
    assert "expected to contain 1 element" in refusal("tiny_shakespeare", tmp_path)
