"""Folders of a run that came to nothing: what it made is gone, what was there stays; how a stopped one goes on."""

import shlex
from pathlib import Path

import pytest

import recipes
from recipes import comparing
from recipes.cli import main
from recipes.errors import Interrupted, RecipeError
from recipes.run_folder import begin
from recipes.writing import writer_of_run


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "own.csv").write_text("temp\n1\nwarm\n")
    return {"csv": str(tmp_path / "own.csv"), "target": "temp"}


@pytest.mark.parametrize(("there", "left"), [("", []), ("a", ["a"]), ("a/b", ["a", "a/b"])])
def test_a_failed_run_leaves_the_folders_that_it_found(
    broken: dict[str, str], tmp_path: Path, there: str, left: list[str]
) -> None:
    place = tmp_path / "place"
    (place / there).mkdir(parents=True)
    with pytest.raises(RecipeError, match="line 3"):
        recipes.run("forecast", out=place / "a" / "b" / "c", quiet=True, **broken)
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*")) == left


def test_a_folder_in_which_something_lies_stays(
    broken: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        (tmp_path / "a" / "by_another").write_text("")
        raise RecipeError("no data")

    monkeypatch.setattr("recipes.forecast.Forecast.load_data", refuse)
    with pytest.raises(RecipeError, match="no data"):
        recipes.run("forecast", out=tmp_path / "a" / "b" / "c", quiet=True, **broken)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["by_another"]


def test_a_comparison_of_nothing_leaves_nothing(broken: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="line 3"):
        comparing.compare("forecast", ["sequence_regressor"], out=tmp_path / "a" / "b", quiet=True, **broken)
    assert not (tmp_path / "a").exists()


def test_a_folder_that_can_not_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RecipeError("cannot write: no space")

    monkeypatch.setattr("recipes.run_folder.write_json", refuse)
    with pytest.raises(RecipeError, match="no space"):
        recipes.run("digits", out=tmp_path / "a" / "b", quiet=True)
    assert not (tmp_path / "a").exists()


def test_an_export_of_nothing_leaves_nothing(model_file: Path, tmp_path: Path) -> None:
    words = ["export", model_file, "--to", "onnx", "--opset", "3", "--out", tmp_path / "a" / "b"]
    assert main([str(word) for word in words]) == 1
    assert not (tmp_path / "a").exists()


def test_what_goes_on_can_be_pasted_into_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recipes.digits.Digits.load_data", stop)
    folder = tmp_path / "it's my run"
    with pytest.raises(Interrupted) as stopped:
        recipes.run("digits", out=folder, quiet=True)
    command = str(stopped.value).removeprefix("stopped; go on with: ")
    assert shlex.split(command) == ["seqzoo", "run", "digits", "--out", str(folder), "--resume"]
    with pytest.raises(Interrupted) as stopped:
        comparing.compare("digits", ["sequence_classifier"], out=folder.parent / "my all", quiet=True)
    assert shlex.split(str(stopped.value))[-2:] == ["--out", str(tmp_path / "my all")]


def test_how_to_finish_a_run_can_be_pasted_too(tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    begin("digits", folder, {}, resume=False, overwrite=False)
    with pytest.raises(RecipeError) as refusal:
        writer_of_run(folder)
    command = str(refusal.value).partition("go on with: ")[2]
    assert shlex.split(command) == ["seqzoo", "run", "digits", "--out", str(folder), "--resume"]
