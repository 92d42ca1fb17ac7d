"""The command: words, options, help, exit codes, what is printed."""

import json
import re
import resource
import subprocess
import sys

import keras
import numpy as np
import pytest

import export
from recipes import versions
from tests.recipes.small import FIELDS, assert_same, weights

SMALL = ["--epochs", "3", "--units", "6", "--dropout", "0.2", "--batch-size", "200"]


def test_help_is_there_at_once():
    """Nothing heavy is imported, and it takes a few times what its parser's own import takes, side by side."""
    watch = "import sys; from recipes.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    spent = {code: [] for code in (watch, "import tyro")}
    for _ in range(3):  # neighbours on the same core make a process's own time longer too: the shortest counts
        for code, times in spent.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            if code == watch:
                modules = set(done.stderr.split())
    assert "recipes.digits" in modules
    assert not modules & {"tensorflow", "keras", "numpy", "sklearn", "matplotlib", "onnx", "jinja2", "zoo"}
    assert min(spent[watch]) < 6 * min(spent["import tyro"])


def test_help_names_every_command(seqzoo):
    code, out, err = seqzoo("--help")
    assert (code, err) == (0, "")
    for word in (
        "list",
        "show",
        "run RECIPE",
        "compare RECIPE",
        "tune RECIPE",
        "export",
        "verify",
        "generate",
        "bench",
        "data-service",
        "doctor",
    ):
        assert re.search(rf"^  {word}  +[A-Z]", out, re.MULTILINE)
    assert seqzoo()[0] == 2


@pytest.mark.parametrize("word", ["list", "show", "export", "verify", "generate", "bench", "data-service", "doctor"])
def test_every_command_has_help(seqzoo, word):
    code, out, err = seqzoo(word, "--help")
    assert (code, err) == (0, "")
    assert f"usage: seqzoo {word}" in out
    assert "--json" in out


def test_help_of_a_recipe_comes_from_its_fields(seqzoo):
    code, out, _ = seqzoo("run", "digits", "--help")
    assert code == 0
    text = re.sub(r"[\s│]+", " ", out)
    for words in (
        "--epochs INT Passes over the training data. (default: 30)",
        "--cell {simple_rnn,lstm,gru} Kind of recurrent layer. (default: gru)",
        "--units [INT [INT ...]]",
        "--schedule {constant,cosine,exponential}",
        "--precision {float32,mixed_float16,mixed_bfloat16}",
        "--clip-norm {None}|FLOAT",
        "--resume",
    ):
        assert words in text
    assert "digits" in seqzoo("run", "--help")[1]


def test_version(seqzoo):
    assert seqzoo("--version") == (0, f"seqzoo {versions.version()}\n", "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["rum"], "unknown command 'rum'; did you mean 'run'?"),
        (["run"], "which recipe? There are "),
        (["run", "digts"], "unknown recipe 'digts'; did you mean 'digits'?"),
        (["run", "digits", "--cell", "gruu"], "--cell: unknown choice 'gruu'; did you mean 'gru'?"),
        (["run", "digits", "--epocs", "3"], "unknown option '--epocs'; did you mean '--epochs'?"),
        (["run", "digits", "--epochs", "x"], "--epochs: invalid literal"),
        (["run", "digits", "--epochs"], "--epochs"),
        (["run", "digits", "--epochs", "0"], "digits: epochs must be an integer, at least 1; got 0"),
        (["run", "digits", "--learning-rate", "-1"], "learning_rate must be a number, more than 0; got -1"),
        (["run", "digits", "--clip-norm", "1", "--clip-value", "1"], "not both"),
        (["run", "digits", "--units"], "units must be one or more"),
        (["run", "digits", "extra"], "'extra' is one word too many"),
        (["run", "digits", "--resume", "--overwrite"], "give one of them"),
        (["export", "x.keras", "--to", "tflit"], "--to: unknown choice 'tflit'; did you mean 'tflite'?"),
        (["export"], "missing: MODEL"),
        (["verify", "x.keras"], "missing: ARTIFACT"),
        (["show"], "missing: NAME"),
        (["show", "sequence_clasifier"], "did you mean 'sequence_classifier'?"),
        (["list", "zzz"], "nothing matches 'zzz'"),
        (["list", "--shape", "many-to-on"], "did you mean 'many-to-one'?"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(seqzoo, tmp_path, monkeypatch, words, complaint):
    monkeypatch.chdir(tmp_path)
    code, out, err = seqzoo(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert complaint in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_run(seqzoo, tmp_path, finished):
    folder = tmp_path / "run"
    code, out, err = seqzoo("run", "digits", "--out", folder, "--json", *SMALL)
    assert code == 0, err
    results = json.loads(out)
    assert results == {"folder": str(folder)} | json.loads((folder / "results.json").read_text())
    assert results["metrics"] == finished.metrics, "the same seed, the same result"
    lines = err.splitlines()
    assert lines[0].startswith("digits: scikit-learn's 1,797 handwritten digits")
    assert re.match(r"training [\d,]+ weights on (CPU \(\d+ cores\)|GPU \(.*\)), float32", lines[1])
    assert lines[2] == "  gru_1 (GRU): meets cuDNN's conditions"
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert lines[-1] == f"report: {folder / 'report.html'}"

    # Complete: resuming changes nothing, and prints the same table as before.
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, out, err = seqzoo("run", "digits", "--out", folder, "--resume")
    assert code == 0
    assert err == f"the run in {folder} is complete\n"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for name in ("model.saved_model", "model.tflite", "model.onnx"):
        assert re.search(rf"{name} .* yes ", out)

    code, out, err = seqzoo("run", "digits", "--out", folder, "--resume", "--epochs", "4")
    assert code == 1
    assert err.startswith(f"error: the run in {folder} has epochs=3, not 4")


def test_a_run_of_the_api(finished):
    assert finished.config.units == FIELDS["units"]
    assert len(finished.data.test) == 360
    assert 0 <= finished.metrics["accuracy"] <= 1
    stored = keras.saving.load_model(finished.folder / "model.keras")
    assert_same(weights(stored), weights(finished.model))
    names = {path.name for path in finished.folder.iterdir()}
    assert names == {
        "config.json", "metrics.csv", "checkpoints", "model.keras", "exports", "results.json", "report.html",
    }  # fmt: skip


def test_artifacts_do_what_the_model_does(finished):
    test = finished.data.test
    logits = finished.model.predict(test.inputs["features"], verbose=0)
    verified = json.loads((finished.folder / "exports" / "verify.json").read_text())
    measured = json.loads((finished.folder / "exports" / "benchmark.json").read_text())
    manifest = json.loads((finished.folder / "exports" / "manifest.json").read_text())
    assert [row["format"] for row in measured] == list(export.FORMATS)
    assert [row["file"] for row in measured] == list(verified)
    assert measured == finished.results["artifacts"]
    for row in measured:
        path = finished.folder / "exports" / row["file"]
        outputs = export.load_runtime(path)(test.inputs)
        np.testing.assert_allclose(outputs["logits"], logits, atol=1e-4)
        # The metric is judged through the runtime; NumPy judges it here.
        assert row["metrics"]["accuracy"] == pytest.approx((outputs["logits"].argmax(1) == test.targets).mean())
        assert verified[row["file"]]["passed"]
        assert row["max_abs_error"] < 1e-4
        assert 0 < row["latency_ms_median"] <= row["latency_ms_p95"]
    text = json.dumps(manifest)
    assert all(f'"{digit}"' in text for digit in range(10))
    assert "divided by 16" in text


def test_the_report_says_what_was_run(finished):
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    for words in ("seqzoo run digits --epochs 3 --batch-size 200 --units 6 --dropout 0.2", "Confusion matrix",
                  "Learning curves", "model.tflite", "model.onnx", "model.saved_model", "CPU"):  # fmt: skip
        assert words in page


def test_export_and_verify(seqzoo, tmp_path, model_file):
    code, out, err = seqzoo("export", model_file, "--to", "tflite", "onnx", "--out", tmp_path, "--json")
    assert code == 0, err
    assert [row["format"] for row in json.loads(out)] == ["tflite", "onnx"]
    assert {path.name for path in tmp_path.iterdir()} == {"model.tflite", "model.onnx", "manifest.json"}
    for row in json.loads(out):
        code, out, err = seqzoo("verify", model_file, row["path"])
        assert (code, err) == (0, "")
        assert "passed" in out
    code, out, _ = seqzoo("verify", model_file, tmp_path / "model.onnx", "--json")
    assert code == 0
    assert json.loads(out)["passed"] is True


def test_bench(seqzoo, finished):
    before = {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()}
    code, out, err = seqzoo("bench", finished.folder, "--json")
    assert (code, err) == (0, "")
    assert [row["metrics"] for row in json.loads(out)] == [row["metrics"] for row in finished.results["artifacts"]]
    assert "model.tflite" in seqzoo("bench", finished.folder)[1]
    assert {path: path.read_bytes() for path in finished.folder.rglob("*") if path.is_file()} == before


def test_tensorflow_is_quiet_unless_asked(tmp_path, finished):
    command = [sys.executable, "-m", "recipes.cli", "bench", str(finished.folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert json.loads(done.stdout)


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m recipes.cli list --json | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")
