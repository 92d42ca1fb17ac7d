"""What a user's own file may hold, and what it must not cost."""

import json
from pathlib import Path

import numpy as np
import pytest

import recipes
from recipes import bptt, comparing, pipelines, report, training
from recipes.classify import Classify
from recipes.cli import main
from recipes.errors import RecipeError, UsageError
from recipes.forecast import Forecast
from recipes.language_model import LanguageModel
from recipes.recipe import configure
from recipes.run_folder import begin
from recipes.tag import Tag
from recipes.text import split_rows


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def reviews(path: Path, rows: int = 30) -> str:
    lines = [f"text {i},{'good' if i % 2 else 'bad'}" for i in range(rows)]
    return write(path, "\n".join(["text,label", *lines]))


@pytest.mark.parametrize(
    "keys_of_classes",
    [
        {"pos": [f"text {i}" for i in range(60)], "neg": ["canned"] * 10},
        {"pos": [f"text {i}" for i in range(60)], "neg": ["canned"] * 10 + ["tinned"] * 10},
        {"n": ["ok"] * 90 + [f"text {i}" for i in range(10)]},
        {"n": [key for key in "abcd" for _ in range(10)]},
    ],
)
def test_repeated_texts_stay_together_and_most_are_learned(keys_of_classes: dict[str, list[str]]) -> None:
    keys = [key for own in keys_of_classes.values() for key in own]
    classes = [name for name, own in keys_of_classes.items() for _ in own]
    parts = split_rows(keys, classes)
    assert sorted(row for rows in parts.values() for row in rows) == list(range(len(keys)))
    found = {part: {keys[row] for row in rows} for part, rows in parts.items()}
    assert sum(map(len, found.values())) == len(set(keys))
    for name, own in keys_of_classes.items():
        counts = {part: sum(classes[row] == name for row in rows) for part, rows in parts.items()}
        assert counts["train"] == max(counts.values())
        # Two keys can't be in three parts: none of the class is asked for that was never shown.
        assert bool(counts["test"]) == bool(counts["validation"]) == (len(set(own)) > 2)


def test_labels_have_one_order() -> None:
    assert Classify()._labels(["10", "2", "1.0", "1"] * 3) == ["1", "1.0", "2", "10"]
    assert Classify()._labels(["3", "NaN", "1", "2"] * 3) == ["1", "2", "3", "NaN"]


def test_a_column_without_change_is_refused_and_what_was_filled_in_is_said(tmp_path: Path) -> None:
    lines = ["t", *["0.1"] * 400]
    with pytest.raises(UsageError, match="same value"):
        Forecast(csv=write(tmp_path / "a.csv", "\n".join(lines)), target="t").load_data()
    lines[9:] = ["" if i % 100 == 0 else str(np.sin(i)) for i in range(9, 401)]
    csv = write(tmp_path / "b.csv", "\n".join(["u,t", *(f"0,{line}" for line in lines[1:])]))
    data = Forecast(csv=csv, target="t", fill_gaps=True, horizon=4, history=8).load_data()
    assert "(4 of them filled in)" in data.summary


def test_a_model_of_another_shape_gets_the_settings_or_refuses_them(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "\n".join(["t", *map(str, np.sin(np.arange(300)))]))
    plain = Forecast(csv=csv, target="t", horizon=4, history=8, model="latent_autoregressive")
    data = plain.load_data()
    wider = configure(plain, {"units": (7,)})
    assert wider.build_model(data).count_params() != plain.build_model(data).count_params()
    with pytest.raises(UsageError, match="autoregressive has no cell; leave out --cell"):
        configure(plain, {"model": "autoregressive", "cell": "lstm"}).build_model(data)


def test_a_text_is_read_at_one_place(tmp_path: Path) -> None:
    text = write(tmp_path / "a.txt", "so it goes on and on\n" * 30)
    recipe = LanguageModel(text=text, batch_size=1, units=(4,), embedding=4, window=8)
    data = recipe.load_data()
    model = bptt.carrying(recipe.build_model(data), 1)
    training.compile_model(model, recipe, recipe.objective(), data)
    stream = pipelines.training_stream(data, model, batch_size=1, seed=0, first=0, epochs=1)
    assert stream.element_spec[1].shape[0] == 1
    history = model.fit(stream.take(2), shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_text_of_unknown_words(tmp_path: Path) -> None:
    different = " ".join(f"word{i:03}" for i in range(900))
    with pytest.raises(UsageError, match="no words to learn: known are those that the training part has 2 times"):
        LanguageModel(text=write(tmp_path / "a.txt", different), tokens="words", batch_size=2).load_data()
    known = "so so so " + different
    data = LanguageModel(text=write(tmp_path / "b.txt", known), tokens="words", batch_size=2).load_data()
    assert all(prompt == "so" for prompt in data.test.prompts)


def test_one_tag_is_none(tmp_path: Path) -> None:
    sentences = "\n\n".join(f"word{i}\tX\nother\tX" for i in range(9))
    with pytest.raises(UsageError, match="every word has the tag 'X'"):
        Tag(conll=write(tmp_path / "a.conll", sentences + "\n")).load_data()


def test_a_failure_of_any_kind_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("Keras does not like it")

    monkeypatch.setattr("recipes.digits.Digits.build_model", fail)
    with pytest.raises(ValueError, match="does not like"):
        recipes.run("digits", out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_broken_file_does_not_cost_the_old_run(tmp_path: Path) -> None:
    csv, run = tmp_path / "a.csv", tmp_path / "run"
    begin("classify", run, {"csv": reviews(csv)}, resume=False, overwrite=False)
    (run / "results.json").write_text("{}")
    write(csv, 'text,label\n"never closed,good\n')
    with pytest.raises(RecipeError, match=r"line|quote"):
        begin("classify", run, {"csv": str(csv)}, resume=False, overwrite=True)
    assert (run / "results.json").exists()


def test_a_run_goes_on_with_the_file_that_it_began_with(tmp_path: Path) -> None:
    csv, run = tmp_path / "a.csv", tmp_path / "run"
    begin("classify", run, {"csv": reviews(csv)}, resume=False, overwrite=False)
    begin("classify", run, {}, resume=True, overwrite=False)
    reviews(csv, rows=40)
    with pytest.raises(RecipeError, match="has changed since the run"):
        begin("classify", run, {}, resume=True, overwrite=False)


def test_a_comparison_keeps_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(name: str, *, model: str, **_: object) -> None:
        raise RecipeError(f"{model} stopped") if model.startswith("s") else UsageError(f"{model} does not fit")

    monkeypatch.setattr(recipes, "run", run)
    with pytest.raises(UsageError, match="does not fit"):
        comparing.compare("digits", ["sequence_classifier", "bidirectional_classifier"], out=tmp_path, quiet=True)
    page = json.loads((tmp_path / "compare.json").read_text())
    assert [row["failure"] for row in page] == ["sequence_classifier stopped"]
    (tmp_path / "compare.json").write_text("the page of before")
    with pytest.raises(RecipeError, match="sequence_classifier: sequence_classifier stopped"):
        comparing.compare("digits", ["sequence_classifier"], out=tmp_path, quiet=True)
    assert (tmp_path / "compare.json").read_text() == "the page of before"


def test_compare_has_no_single_model(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "digits", "--model", "bidirectional_classifier", "--models", "sequence_classifier"]
    assert main(words) == 2
    assert "name all that are compared with --models" in capsys.readouterr().err


def test_a_recipe_is_shown_without_its_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise RecipeError("there are no data; bring them")

    monkeypatch.setattr("recipes.digits.Digits.load_data", missing)
    assert main(["show", "digits"]) == 0
    shown = capsys.readouterr().out
    assert "there are no data; bring them" in shown
    assert "batch_size" in shown


def test_many_classes_make_no_large_page() -> None:
    counts = np.ones((400, 400), int)
    html = report.confusion_matrix(counts, [str(i) for i in range(400)])
    assert len(html) < 600_000
    assert "Of the 400 classes the 60 most frequent" in html


def test_a_file_may_be_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert configure(Classify(), {"csv": path}).csv == str(path)
