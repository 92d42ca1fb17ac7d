"""What goes wrong: one clear line, exit code 1, nothing half-written."""

import io
import json
import os
import resource
import shutil
import subprocess
import zipfile
from contextlib import contextmanager
from pathlib import Path

import keras
import pytest

import export
import recipes
from recipes import artifacts, cli
from recipes.errors import RecipeError
from recipes.loading import load_model
from tests.recipes.small import FIELDS

SMALL = ["--epochs", "1", "--units", "4", "--batch-size", "600"]


@pytest.fixture
def fails(capfd):
    """Runs the command in this process; it must fail with one line, which is returned."""

    def run(*words: object) -> str:
        capfd.readouterr()
        assert cli.main([str(word) for word in words]) == 1
        said = capfd.readouterr().err.splitlines()
        complaints = [line for line in said if line.startswith("error: ")]
        assert complaints == said[-1:]
        assert "Traceback" not in "\n".join(said)
        return complaints[0]

    return run


@contextmanager
def small_disk(limit: int):
    """No file can grow beyond the limit, as on a disk that is nearly full; the error differs only in its number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if "partial" in path.name or "tmp" in path.name]


def test_the_folder_exists(fails, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    line = fails("run", "digits", "--out", folder)
    assert line == f"error: {folder} exists; --resume goes on with its run, --overwrite throws it away"


def test_the_folder_is_a_file(fails, tmp_path):
    path = tmp_path / "run"
    path.write_text("")
    assert fails("run", "digits", "--out", path) == f"error: {path} is a file; name a folder with --out"


def test_no_folder_can_be_made(fails, tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in fails("run", "digits", "--out", tmp_path / "file" / "run")


def test_data_that_can_not_be_read_leaves_no_folder(fails, tmp_path):
    (tmp_path / "own.csv").write_text("temp\n1\nwarm\n")
    line = fails("run", "forecast", "--csv", tmp_path / "own.csv", "--target", "temp", "--out", tmp_path / "run")
    assert "own.csv, line 3: expected a number in column 'temp', found 'warm'" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("limit", "file"), [(600, "config.json"), (3_000, "npz"), (12_000, "model.keras")])
def test_disk_full(fails, tmp_path, limit, file):
    folder = tmp_path / "run"
    with small_disk(limit):
        line = fails("run", "digits", "--out", folder, *SMALL)
    assert "cannot write" in line
    assert file in line
    assert "File too large" in line
    assert not leftovers(tmp_path)
    assert not (folder / "results.json").exists()


@pytest.mark.parametrize("name", list(export.FORMATS))
def test_disk_full_in_export(fails, tmp_path, model_file, name):
    with small_disk(2_000):
        fails("export", model_file, "--to", name, "--out", tmp_path / "out")
    assert not leftovers(tmp_path)
    assert not list((tmp_path / "out").glob("model.*"))


def test_a_real_full_disk(fails, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        line = fails("run", "digits", "--out", disk / "run", *SMALL)
        assert line.endswith("No space left on device")
        assert not leftovers(disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_read_only_folder(fails, tmp_path, finished):
    place = tmp_path / "place"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere, and nothing can be mounted here")
        place.chmod(0o500)
    try:
        assert "cannot write" in fails("run", "digits", "--out", place / "run")
        assert str(place) in fails("export", finished.folder / "model.keras", "--to", "onnx", "--out", place / "out")
        assert not list(place.iterdir())
    finally:
        if mounted.returncode:
            place.chmod(0o700)
        else:
            subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("damage", ["missing", "folder", "empty", "text", "truncated", "flipped", "no config"])
def test_a_damaged_model(fails, tmp_path, model_file, damage):
    path = tmp_path / "model.keras"
    content = model_file.read_bytes()
    if damage == "folder":
        path.mkdir()
    elif damage == "no config":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme", "hello")
    elif damage != "missing":
        middle = len(content) // 2
        flipped = (
            content[:middle] + bytes(255 - byte for byte in content[middle : middle + 64]) + content[middle + 64 :]
        )
        path.write_bytes({"empty": b"", "text": b"no model", "truncated": content[:middle], "flipped": flipped}[damage])
    line = fails("export", path, "--out", tmp_path / "out")
    assert str(path) in line
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_keras_archive(fails, tmp_path, model_file):
    path = tmp_path / "model.h5"
    shutil.copy(model_file, path)
    assert "is no Keras model" in fails("verify", path, tmp_path / "model.onnx")


def test_code_in_a_model_is_refused(fails, tmp_path):
    marker = tmp_path / "ran"
    inputs = keras.Input((3, 2))
    hostile = keras.layers.Lambda(lambda x, path=str(marker): (open(path, "w").close(), x)[1])
    model = keras.Model(inputs, keras.layers.GRU(2)(hostile(inputs)))
    path = tmp_path / "model.keras"
    model.save(path)
    marker.unlink(missing_ok=True)
    line = fails("export", path, "--out", tmp_path / "out")
    assert line == f"error: cannot load {path}: it holds Python code (a Lambda layer), which could do anything: refused"
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "builtins.eval", "nowhere.Layer"])
def test_a_config_that_reaches_for_other_code_is_refused(tmp_path, model_file, target):
    path = tmp_path / "model.keras"
    module, _, name = target.rpartition(".")
    with zipfile.ZipFile(model_file) as source, zipfile.ZipFile(path, "w") as archive:
        for member in source.namelist():
            content = source.read(member)
            if member == "config.json":
                config = json.loads(content)
                layer = config["config"]["layers"][1]
                layer |= {"module": module, "class_name": name, "registered_name": name}
                content = json.dumps(config).encode()
            archive.writestr(member, content)
    with pytest.raises(RecipeError, match="cannot load") as refusal:
        load_model(path)
    assert "\n" not in str(refusal.value)


def test_an_artifact_of_another_model(fails, tmp_path, finished):
    other = keras.Sequential(
        [keras.Input((None, 8), name="features"), keras.layers.GRU(6), keras.layers.Dense(10, name="logits")]
    )
    other.save(tmp_path / "other.keras")
    for name in ("model.tflite", "model.onnx", "model.saved_model"):
        line = fails("verify", tmp_path / "other.keras", finished.folder / "exports" / name)
        assert name in line


def test_a_truncated_artifact(fails, tmp_path, model_file, finished):
    for name in ("model.tflite", "model.onnx"):
        content = (finished.folder / "exports" / name).read_bytes()
        for size in (0, 10, len(content) // 2):
            path = tmp_path / name
            path.write_bytes(content[:size])
            assert str(path) in fails("verify", model_file, path) or name in fails("verify", model_file, path)
    assert "model.onnx" in fails("verify", model_file, tmp_path / "nowhere" / "model.onnx")
    assert fails("verify", model_file, tmp_path / "model.zip")


def test_no_run_to_measure(fails, tmp_path, finished):
    assert "no run's folder" in fails("bench", tmp_path / "nothing")
    broken = Path(shutil.copytree(finished.folder, tmp_path / "broken"))
    (broken / "exports" / "model.tflite").write_bytes(b"TFL3")
    assert "model.tflite" in fails("bench", broken)
    shutil.rmtree(broken / "exports")
    assert "holds no artifacts" in fails("bench", broken)


def test_an_artifact_that_fails_verification_is_deleted(fails, tmp_path, finished, monkeypatch):
    """One format is written with another model's weights: the real verifier must see it."""
    wrong = keras.models.clone_model(finished.model)
    real = export.export_model

    def export_wrongly(model, file, format, **options):
        if format != "onnx":
            return real(model, file, format=format, **options)
        path = real(wrong, file, format=format, **options).path
        report = export.verify(model, path)
        path.unlink()
        report.raise_for_failure()
        raise AssertionError("the verifier passed another model's artifact")

    monkeypatch.setattr(artifacts.export, "export_model", export_wrongly, raising=False)
    folder = tmp_path / "run"
    line = fails("run", "digits", "--out", folder, *SMALL)
    assert "onnx failed its verification and was deleted" in line
    assert not (folder / "exports" / "model.onnx").exists()
    assert {path.name for path in (folder / "exports").iterdir()} >= {
        "model.tflite",
        "model.saved_model",
        "verify.json",
    }
    assert json.loads((folder / "exports" / "verify.json").read_text())["model.onnx"]["passed"] is False
    results = json.loads((folder / "results.json").read_text())
    assert [row["format"] for row in results["artifacts"]] == ["saved_model", "tflite"]
    assert "onnx failed its verification" in (folder / "report.html").read_text(encoding="utf-8")

    monkeypatch.setattr(artifacts.export, "export_model", real, raising=False)
    run = recipes.run("digits", out=folder, resume=True, quiet=True)
    assert [row["format"] for row in run.results["artifacts"]] == ["saved_model", "tflite", "onnx"]


def test_a_bug_is_one_line_too(fails, tmp_path, monkeypatch, capfd):
    def break_down(self):
        raise KeyError("surprise")

    monkeypatch.setattr(type(recipes.get_recipe("digits")), "load_data", break_down)
    words = ["run", "digits", "--out", tmp_path / "run", *SMALL]
    assert fails(*words) == "error: KeyError: 'surprise' (--verbose shows where)"
    assert cli.main([str(word) for word in [*words, "--overwrite", "--verbose"]]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_the_api_raises_what_the_command_says(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(RecipeError, match="--resume goes on"):
        recipes.run("digits", out=tmp_path / "run", **FIELDS)


def test_export_from_a_corpus_of_bytes(tmp_path):
    """Archives cut at many places: always one line, never another kind of error."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64)
    path = tmp_path / "model.keras"
    for size in range(0, len(whole.getvalue()) + 1, 17):
        path.write_bytes(whole.getvalue()[:size])
        with pytest.raises(RecipeError) as refusal:
            load_model(path)
        assert "\n" not in str(refusal.value)
