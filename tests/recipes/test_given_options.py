"""What the user typed counts as typed: at its default too, in a folder too, and never without effect in silence."""

import json
from pathlib import Path

import pytest

from recipes import cli, comparing
from recipes.commands.of_recipe import read
from recipes.commands.run import Run
from recipes.errors import RecipeError, UsageError
from recipes.forecast import Forecast
from recipes.recipe import configure
from recipes.run_folder import begin, command_line, stored_recipe
from recipes.settings import content_of, recipe_of
from recipes.tag import Tag

TALL = {"csv": "a.csv", "target": "t", "model": "latent_autoregressive"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a user's files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("\n".join(["t", *(f"{(7 * row) % 11}.5" for row in range(300))]))
    (tmp_path / "a.txt").write_text("it goes on and on\n" * 40)
    (tmp_path / "a.conll").write_text("one\tA\ntwo\tB\n\n" * 9)
    return tmp_path


@pytest.mark.parametrize("words", [["--units", "128"], ["--units=128"], ["--no-bidirectional", "--cell", "gru"]])
def test_a_default_that_is_typed_is_given(words: list[str]) -> None:
    command = read(Run, "run", ["digits", *words])
    assert command is not None
    expected = {"units": (128,)} if len(words) < 3 and "units" in words[0] else {"bidirectional": False, "cell": "gru"}
    assert command.given() == expected


def test_a_default_that_is_given_reaches_another_model(place: Path) -> None:
    left = configure(Forecast(), TALL | {"horizon": 4, "history": 8})
    data = left.load_data()
    given = configure(left, {"units": Forecast().units})
    assert given == left
    counts = [recipe.build_model(data).count_params() for recipe in (left, given)]
    assert counts[0] != counts[1]
    with pytest.raises(UsageError, match="autoregressive has no cell; leave out --cell"):
        configure(left, {"model": "autoregressive", "cell": Forecast().cell}).build_model(data)


def test_a_folder_remembers_what_was_given(place: Path) -> None:
    run = place / "run"
    begin("forecast", run, TALL | {"units": (48,)}, resume=False, overwrite=False)
    stored = stored_recipe(run)
    assert stored.given == {*TALL, "units"}
    assert "--units 48" in command_line(stored, run)
    assert recipe_of(json.loads(json.dumps(content_of(stored)))).given == stored.given
    begin("forecast", run, {"epochs": 8}, resume=True, overwrite=False)
    with pytest.raises(RecipeError, match="has cell left to the model, not given: resume it without --cell"):
        begin("forecast", run, {"cell": "gru"}, resume=True, overwrite=False)


def test_a_comparison_knows_what_its_runs_were_given(place: Path) -> None:
    fields = {"csv": "a.csv", "target": "t"}
    model = "latent_autoregressive"
    begin("forecast", place / "all" / model, fields | {"model": model}, resume=False, overwrite=False)
    with pytest.raises(UsageError, match="has units left to the model, not given"):
        comparing.compare("forecast", [model], out=place / "all", quiet=True, units=(48,), **fields)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["forecast", "--csv", "a.csv", "--target", "t", "--series", "etth1"], "--series has no effect beside --csv"),
        (["forecast", "--csv", "a.csv", "--target", "t", "--data-dir", "."], "--data-dir has no effect beside --csv"),
        (["forecast", "--fill-gaps"], "--fill-gaps has no effect without a file of yours; name it with --csv"),
        (["forecast", "--time", "when"], "--time has no effect without a file of yours"),
        (["chaos", "--data-dir", "."], "--data-dir has no effect on mackey_glass, which is generated"),
        (["memory_tasks", "--parameters", "400", "--units", "64"], "--units has no effect beside --parameters"),
        (["memory_tasks", "--bits", "8"], "--bits has no effect on adding; they are of copy"),
        (["classify", "--csv", "a.csv", "--text", "t", "--label", "t"], "--text and --label both name the column 't'"),
        (["forecast", "--csv", "a.csv", "--target", "t", "--season", "500"], "lower season or horizon"),
        (["tag", "--conll", "a.conll", "--column", "upos"], "a.conll has one tag for each word, it is no CoNLL-U"),
    ],
)
def test_an_option_without_effect_is_an_error(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert cli.main(["run", *words]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["tune", "digits", "--objective", ":min"], "an objective reads like accuracy:max or loss:min; got ':min'"),
        (["data-service", "dispatcher", "--port", "99999"], "--port must be at least 0 and below 65536; got 99999"),
        (["data-service", "dispatcher", "--host", "localhost"], "--host is for a worker; leave it out"),
        (["export", "model.keras", "--metric", "accuracy"], "--metric has no effect without --data"),
        (["tune", "forecast", "--csv", "a.csv", "--target", "t", "--series", "etth1"], "no effect beside --csv"),
        (["compare", "forecast", "--models", "autoregressive", "--time", "t"], "--time has no effect without a file"),
        (["run", "digits", "--wors", "3"], "unknown option '--wors'; choose from --json, --verbose, --preset, --out"),
    ],
)
def test_other_commands_say_it_too(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert "--PRESETS" not in said
    assert said.count("\n") == 1


def test_a_preset_may_hold_what_another_option_makes_idle() -> None:
    begin_with = {"parameters": 900}
    assert configure(Tag(), {"column": "xpos"}).given == {"column"}
    with pytest.raises(UsageError, match="has no effect beside --parameters"):
        begin("memory_tasks", Path("nowhere"), begin_with | {"units": 64}, resume=False, overwrite=False)


def test_a_file_is_the_same_wherever_it_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = place / "run"
    begin("language_model", run, {"text": "a.txt"}, resume=False, overwrite=False)
    for spelling in ("a.txt", "./a.txt", str(place / "a.txt")):
        begin("language_model", run, {"text": spelling}, resume=True, overwrite=False)
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    # The folder says "a.txt", which is not here: what is given now is read.
    gone_on = begin("language_model", run, {"text": "../a.txt"}, resume=True, overwrite=False)
    assert gone_on.own_file == "../a.txt"
    Path("copy.txt").write_bytes((place / "a.txt").read_bytes())
    begin("language_model", run, {"text": "copy.txt"}, resume=True, overwrite=False)
    Path("copy.txt").write_text("something else\n" * 40)
    with pytest.raises(RecipeError, match=r"has text=a\.txt, not copy\.txt"):
        begin("language_model", run, {"text": "copy.txt"}, resume=True, overwrite=False)
    monkeypatch.chdir(place)
    (place / "a.txt").write_text("something else\n" * 40)
    with pytest.raises(RecipeError, match=r"\./a\.txt has changed since the run"):
        begin("language_model", run, {"text": "./a.txt"}, resume=True, overwrite=False)
