"""The same task with several models: one run each, one table, one page; wrong words leave nothing behind."""

import json

import pytest

import recipes
from recipes import comparing
from recipes.cli import main
from recipes.errors import UsageError

SMALL = {"epochs": 1, "units": (4,), "batch_size": 400}
MODELS = ("sequence_classifier", "bidirectional_classifier")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared") / "all"
    return folder, comparing.compare("digits", MODELS, out=folder, quiet=True, **SMALL)


def test_each_model_has_its_run_and_its_row(compared):
    folder, entries = compared
    assert [entry.model for entry in entries] == list(MODELS)
    table = json.loads((folder / "compare.json").read_text())
    assert table == comparing.rows(entries)
    for row, entry in zip(table, entries, strict=True):
        stored = json.loads((folder / entry.model / "results.json").read_text())
        assert row["accuracy"] == stored["metrics"]["accuracy"]
        assert row["parameters"] == stored["parameters"]
        assert row["failure"] is None
    assert table[0]["parameters"] < table[1]["parameters"]
    page = (folder / "compare.html").read_text(encoding="utf-8")
    assert all(model in page for model in MODELS)
    assert "seqzoo compare digits --models sequence_classifier bidirectional_classifier --epochs 1" in page


def test_the_same_command_keeps_what_was_run(compared):
    folder, entries = compared
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")}
    again = comparing.compare("digits", MODELS, out=folder, quiet=True, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")} == before
    assert comparing.rows(again) == comparing.rows(entries)
    with pytest.raises(UsageError, match="has epochs=1, not 2: give the same settings, or another folder with --out"):
        comparing.compare("digits", MODELS, out=folder, quiet=True, **{**SMALL, "epochs": 2})


def test_a_model_that_fails_says_why_and_the_others_go_on(compared, tmp_path, monkeypatch):
    _, entries = compared
    real = recipes.run

    def run(name, *, model, **settings):
        if model == MODELS[0]:
            raise recipes.errors.RecipeError("the loss is nan in epoch 1")
        return real(name, model=model, **settings | {"out": compared[0] / model, "resume": True})

    monkeypatch.setattr(comparing.recipes, "run", run)
    first, second = comparing.compare("digits", MODELS, out=tmp_path / "all", quiet=True, **SMALL)
    assert first.failure == "the loss is nan in epoch 1"
    assert second.results == entries[1].results
    assert comparing.rows([first, second])[0]["accuracy"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits"], "which models? Name them with --models"),
        (["digits", "--models", "crf_tagger"], "digits can't use crf_tagger: it is many-to-many, not many-to-one"),
        (["digits", "--models", "sequence_clasifier"], "did you mean 'sequence_classifier'"),
        (["digits", "--models", *MODELS[:1] * 2], "each model once"),
        (["digit", "--models", *MODELS], "did you mean 'digits'"),
        ([], "which recipe?"),
    ],
)
def test_wrong_words(words, message, tmp_path, capsys):
    folder = tmp_path / "all"
    assert main(["compare", *words, *(["--out", str(folder)] if words else [])]) == 2
    assert message in capsys.readouterr().err
    assert not folder.exists() or not any(folder.iterdir())


def test_a_recipe_without_a_choice_of_model(monkeypatch):
    monkeypatch.setattr(comparing.recipes, "get_recipe", lambda name: object())
    with pytest.raises(UsageError, match="has no field 'model'"):
        comparing.compare("digits", MODELS)


def test_what_was_trained_is_never_thrown_away(tmp_path, monkeypatch):
    def refuse(*_):
        raise UsageError("found out late")

    monkeypatch.setattr("recipes.artifacts.export_all", refuse)
    with pytest.raises(UsageError):
        recipes.run("digits", out=tmp_path / "run", quiet=True, **SMALL)
    assert (tmp_path / "run" / "model.keras").exists()
