"""The README's table of models says what the registry says."""

from pathlib import Path

import pytest

import zoo
from recipes.cli import main
from recipes.commands import recipes_table
from recipes.commands.models_table import BEGIN, END, models_table

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_the_table_that_the_registry_gives() -> None:
    text = README.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    between = text.split(BEGIN)[1].split(END)[0].strip()
    assert between == models_table(), (
        "the registry has changed: put what `seqzoo list --markdown` prints into README.md"
    )


def test_the_table_has_every_model_with_a_file_that_holds_it() -> None:
    rows = [line for line in models_table().splitlines() if line.startswith("| [")]
    assert len(rows) == len(zoo.list_models())
    for row in rows:
        name, file = row.removeprefix("| [`").split(")", 1)[0].split("`](")
        assert f"def {name}(" in (README.parent / file).read_text()


def test_list_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--markdown"]) == 0
    assert capsys.readouterr().out.strip() == models_table()
    assert main(["list", "*tagger*", "--markdown"]) == 2
    assert "--markdown prints all models: leave pattern out" in capsys.readouterr().err


def test_the_readme_has_every_recipe() -> None:
    text = README.read_text()
    assert text.count(recipes_table.BEGIN) == text.count(recipes_table.END) == 1
    between = text.split(recipes_table.BEGIN)[1].split(recipes_table.END)[0].strip()
    assert between == recipes_table.recipes_table(), (
        "a recipe has changed: put what `python -m recipes.commands.recipes_table` prints into README.md"
    )
