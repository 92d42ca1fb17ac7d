"""A run's folder: what is in config.json, who may write into it, files that are whole or not there."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import recipes
from recipes import files, run_folder, versions
from recipes.errors import RecipeError, UsageError
from recipes.run_folder import begin, command_line, stored_recipe


def start(path, *, resume=False, overwrite=False, **fields):
    return begin("digits", path, fields, resume=resume, overwrite=overwrite)


def test_config_says_everything(tmp_path):
    start(tmp_path / "run", units=[4, 5], seed=3)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    recipe = recipes.get_recipe("digits")
    assert list(config["fields"]) == list(vars(recipe))
    assert config["fields"]["units"] == [4, 5]
    assert config["seed"] == config["fields"]["seed"] == 3
    assert config["recipe"] == "digits"
    for name in ("python", "seqzoo", "tensorflow", "keras", "numpy", "onnxruntime", "ai-edge-litert"):
        assert config["versions"][name][0].isdigit()
    assert config["command"] == f"seqzoo run digits --seed 3 --units 4 5 --out {tmp_path / 'run'}"
    assert stored_recipe(tmp_path / "run") == recipe.__class__(units=(4, 5), seed=3)


def test_the_commit_is_that_of_the_checkout(tmp_path, monkeypatch):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(versions, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert versions.git_commit() is None
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    commit = versions.git_commit()
    assert len(commit) == 40
    (tmp_path / "file").write_text("2")
    assert versions.git_commit() == f"{commit}-dirty"
    monkeypatch.setenv("PATH", "")
    assert versions.git_commit() is None


def test_the_command_leaves_defaults_out(tmp_path):
    recipe = recipes.get_recipe("digits")
    assert command_line(recipe, Path("runs/digits")) == "seqzoo run digits"
    changed = recipe.__class__(bidirectional=True, clip_norm=0.5, units=(4,), cell="lstm")
    words = "seqzoo run digits --clip-norm 0.5 --cell lstm --units 4 --bidirectional"
    assert command_line(changed, Path("runs/digits")) == words


def test_an_existing_folder_is_refused(tmp_path):
    for path in (tmp_path / "run", tmp_path / "empty"):
        path.mkdir()
    start(tmp_path / "run", overwrite=True)
    before = (tmp_path / "run" / "config.json").read_bytes()
    for path in (tmp_path / "run", tmp_path / "empty"):
        with pytest.raises(RecipeError) as refusal:
            start(path)
        assert str(refusal.value) == f"{path} exists; --resume goes on with its run, --overwrite throws it away"
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_both_switches_are_one_too_many(tmp_path):
    with pytest.raises(UsageError, match="give one of them"):
        start(tmp_path / "run", resume=True, overwrite=True)
    assert not (tmp_path / "run").exists()


def test_nothing_is_made_for_a_nonsensical_field(tmp_path):
    with pytest.raises(UsageError):
        start(tmp_path / "run", epochs=0)
    assert not (tmp_path / "run").exists()


def test_resume_keeps_the_settings(tmp_path):
    started = start(tmp_path / "run", epochs=5, units=(4, 5))
    assert start(tmp_path / "run", resume=True) == started
    assert start(tmp_path / "run", resume=True, epochs=5) == started
    for fields, words in [
        ({"epochs": 6}, "has epochs=5, not 6"),
        ({"units": (4,)}, "has units=(4, 5), not (4,)"),
        ({"learning_rate": 0.5}, "has learning_rate=0.01, not 0.5: resume it without --learning-rate"),
    ]:
        with pytest.raises(RecipeError) as refusal:
            start(tmp_path / "run", resume=True, **fields)
        assert words in str(refusal.value)


def test_resume_starts_what_had_not_begun(tmp_path):
    assert start(tmp_path / "none", resume=True, epochs=5).epochs == 5
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / f"{files.PARTIAL}x.json").write_text("{")
    assert start(torn, resume=True, epochs=6).epochs == 6
    assert sorted(path.name for path in torn.iterdir()) == ["checkpoints", "config.json"]


@pytest.mark.parametrize("switch", ["resume", "overwrite"])
def test_a_strangers_folder_is_left_alone(tmp_path, switch):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RecipeError, match=r"is no run's folder \(it holds thesis\.tex, no config\.json\): left alone"):
        start(tmp_path, **{switch: True})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_overwrite_throws_away(tmp_path):
    start(tmp_path / "run", epochs=5)
    (tmp_path / "run" / "exports").mkdir()
    (tmp_path / "run" / "exports" / "model.onnx").write_text("old")
    (tmp_path / "run" / "report.html").write_text("old")
    assert start(tmp_path / "run", overwrite=True).epochs == recipes.get_recipe("digits").epochs
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoints", "config.json"]
    assert start(tmp_path / "new", overwrite=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged"),
        ("[]", "another version"),
        ('{"recipe": "zzz", "fields": {}}', "another version"),
        ('{"recipe": "digits", "fields": {"gone": 1}}', "no field 'gone'"),
    ],
)
def test_a_damaged_config(tmp_path, content, words):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RecipeError) as refusal:
        start(tmp_path, resume=True)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_run_of_another_recipe(tmp_path, monkeypatch):
    start(tmp_path / "run")
    monkeypatch.setitem(run_folder.RECIPES, "other", run_folder.RECIPES["digits"])
    with pytest.raises(RecipeError, match="holds a run of 'digits', not of 'other'"):
        begin("other", tmp_path / "run", {}, resume=True, overwrite=False)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    files.write_json(path, {"a": 1})

    def fail(partial):
        partial.write_text("half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(RecipeError, match=f"cannot write {path}: No space left on device"):
        files.write_atomically(path, fail)
    assert files.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_are_as_open_as_others(tmp_path):
    (tmp_path / "plain").write_text("")
    files.write_text(tmp_path / "ours", "ä")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "ours").read_text(encoding="utf-8") == "ä"
