"""RESULTS.md is made by a command: its rows replace each other, and say what the runs' folders say."""

import dataclasses
import json
from pathlib import Path

import pytest

import recipes
from benchmarks import results

PAGE = Path(__file__).parents[2] / "RESULTS.md"
EMPTY = f"# Results\n\n{results.BEGIN}\n| recipe |\n| --- |\n{results.END}\nmore\n"


def row(recipe: str, value: str, command: str) -> str:
    return f"| {recipe} | {value} | - | - | - | - | `{command}` |"


def test_a_row_replaces_the_one_of_the_same_command():
    page = results.with_row(EMPTY, row("imdb", "0.8", "imdb --seeds 0"))
    page = results.with_row(page, row("digits", "0.9", "digits --seeds 0"))
    page = results.with_row(page, row("imdb", "0.85", "imdb --seeds 0 1"))
    page = results.with_row(page, row("imdb", "0.88", "imdb --seeds 0 --units 128"))
    lines = page.splitlines()
    assert [line.split(" | ")[:2] for line in lines if line.startswith("| ")][2:] == [
        ["| digits", "0.9"],
        ["| imdb", "0.85"],
        ["| imdb", "0.88"],
    ]
    assert lines[0] == "# Results"
    assert lines[-1] == "more"


def test_the_row_of_a_run(finished):
    stored = json.loads((finished.folder / "results.json").read_text())
    text = results.describe("digits", [0], ["--epochs", "3"], [(finished.folder, stored)])
    accuracy = finished.metrics["accuracy"]
    assert f"accuracy {accuracy:.4g} (seed 0)" in text
    assert all(f"model{suffix}: accuracy {accuracy:.4g}" in text for suffix in (".tflite", ".onnx", ".saved_model"))
    assert f"3 epochs, {finished.model.count_params():,} parameters" in text
    assert "`python -m benchmarks.results digits --seeds 0 --epochs 3`" in text
    assert len(text.split(" | ")) == len(results.COLUMNS)


def test_mean_and_spread():
    assert results.spread([0.5]) == "0.5"
    assert results.spread([0.9, 1.0, 1.1]) == "1 ± 0.1"


def test_every_row_of_the_page_is_of_a_recipe_that_there_is():
    table = PAGE.read_text(encoding="utf-8").split(results.BEGIN)[1].split(results.END)[0]
    rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()[2:]]
    for cells in rows:
        assert cells[0] in recipes.list_recipes()
        assert len(cells) == len(results.COLUMNS)


def test_the_page_says_which_presets_were_not_run():
    page = PAGE.read_text(encoding="utf-8")
    assert results.with_presets(page) == page
    assert "`python -m benchmarks.results imdb --preset full`: not run" in page
    row = "| imdb | 0.9 | `python -m benchmarks.results imdb --seeds 0 --preset full` |"
    ran = results.with_presets(page.replace(results.END, f"{row}\n{results.END}"))
    assert "`python -m benchmarks.results imdb --preset full`: not run" not in ran
    assert "`python -m benchmarks.results translation --preset full`: not run" in ran


def test_a_wrong_recipe_is_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["results", "digit"])
    with pytest.raises(SystemExit):
        results.main()


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("forecast", {}, "LSTMa"),
        ("forecast", {"series": "sunspots"}, ""),
        ("forecast", {"horizon": 48}, ""),
        ("chaos", {"task": "narma10"}, "0.15"),
        ("chaos", {"task": "lorenz"}, ""),
        ("memory_tasks", {"task": "copy"}, "Turing"),
    ],
)
def test_what_others_report_belongs_to_the_task_as_it_is_set(name, fields, words):
    reference = dataclasses.replace(recipes.get_recipe(name), **fields).reference
    assert words in reference
    assert bool(words) == bool(reference)
