"""A run that is killed and resumed ends as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import recipes
from recipes.checkpoints import Checkpoints
from recipes.files import PARTIAL
from tests.recipes.small import FIELDS, assert_same, last_state, train, weights


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    model, progress = train(folder)
    return weights(model), last_state(folder), progress


def start_victim(
    folder: Path, name: str = "-", nth: int = 1, state: str = "before", epochs: int = FIELDS["epochs"]
) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.recipes.victim", str(folder), str(epochs), name, str(nth), state]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})


def assert_no_half_files(folder: Path) -> None:
    assert not [path for path in folder.rglob("*") if path.name.startswith(PARTIAL)]


MOMENTS = [
    pytest.param("config.json", 1, "half", marks=pytest.mark.slow),
    pytest.param("best-00001.npz", 1, "before", marks=pytest.mark.slow),
    pytest.param("last.npz", 2, "half", marks=pytest.mark.slow),
    ("last.npz", 2, "after"),
    pytest.param("metrics.csv", 3, "before", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "nth", "state"), MOMENTS)
def test_killed_in_training(tmp_path, undisturbed, name, nth, state):
    folder = tmp_path / "run"
    victim = start_victim(folder, name, nth, state)
    victim.communicate(timeout=300)
    assert victim.returncode == -signal.SIGKILL

    model, progress = train(folder, resume=True)

    assert_same(weights(model), undisturbed[0])
    assert_same(last_state(folder), undisturbed[1])
    assert progress == undisturbed[2]
    assert_no_half_files(folder)
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + FIELDS["epochs"]


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    moments, epochs = random.Random(0), 12
    model, _ = train(whole, epochs=epochs)
    for _ in range(3):
        victim = start_victim(folder, epochs=epochs)
        while not victim.stderr.readline().startswith("epoch"):
            assert victim.poll() is None
        time.sleep(moments.uniform(0, 0.15))
        victim.kill()
        victim.wait(timeout=60)
        assert victim.returncode == -signal.SIGKILL

    resumed, _ = train(folder, resume=True, epochs=epochs)
    assert_same(weights(resumed), weights(model))
    assert_same(last_state(folder), last_state(whole))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "state"), [("model.keras", "half"), ("model.tflite", "before"), ("results.json", "before")]
)
def test_killed_after_training(tmp_path, undisturbed, name, state):
    folder = tmp_path / "run"
    victim = start_victim(folder, name, 1, state)
    victim.communicate(timeout=300)
    assert victim.returncode == -signal.SIGKILL
    assert not (folder / "results.json").exists()

    run = recipes.run("digits", out=folder, resume=True, quiet=True)

    assert_same(weights(run.model), undisturbed[0])
    assert_no_half_files(folder)
    assert {path.name for path in (folder / "exports").iterdir()} == {
        "model.saved_model", "model.tflite", "model.onnx", "manifest.json", "verify.json", "benchmark.json",
    }  # fmt: skip
    assert json.loads((folder / "results.json").read_text())["metrics"] == run.metrics
    assert (folder / "report.html").read_text().rstrip().endswith("</html>")


class StoppedError(Exception):
    pass


def train_one_epoch(folder, monkeypatch, **fields):
    save = Checkpoints.save

    def save_and_stop(self, model, progress):
        save(self, model, progress)
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_stop)
        with pytest.raises(StoppedError):
            train(folder, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "mixed_float16", "schedule": "constant", "clip_value": 0.5},
        pytest.param(
            {"precision": "mixed_bfloat16", "schedule": "exponential", "clip_norm": 0.5, "cell": "lstm"},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["float16", "bfloat16"],
)
def test_taken_up_in_the_middle(tmp_path, monkeypatch, fields):
    whole, _ = train(tmp_path / "whole", **fields)
    train_one_epoch(tmp_path / "cut", monkeypatch, **fields)
    cut, progress = train(tmp_path / "cut", resume=True, **fields)

    assert [row["epoch"] for row in progress.rows] == [1, 2, 3]
    assert_same(weights(cut), weights(whole))
    assert_same(last_state(tmp_path / "cut"), last_state(tmp_path / "whole"))


def test_the_dropouts_generators_are_part_of_the_state(tmp_path, monkeypatch, undisturbed):
    folder = tmp_path / "run"
    train_one_epoch(folder, monkeypatch)
    last = folder / "checkpoints" / "last.npz"
    with np.load(last) as stored:
        arrays = dict(stored)
    generators = [name for name, array in arrays.items() if name.startswith("model/") and array.dtype == np.int64]
    assert generators
    np.savez(last, **arrays | {name: np.zeros_like(arrays[name]) for name in generators})

    train(folder, resume=True)

    with pytest.raises(AssertionError):
        assert_same(last_state(folder), undisturbed[1])


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_ctrl_c_and_sigterm_say_how_to_go_on(tmp_path, undisturbed, stop, code):
    folder = tmp_path / "run"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in FIELDS.items() if name != "units"]
    command = [sys.executable, "-m", "recipes.cli", "run", "digits", "--out", str(folder), *options, "--units", "6"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("epoch 1/"):
            process.send_signal(stop)
    process.wait(timeout=120)

    assert process.returncode == code
    assert lines[-1] == f"stopped; go on with: seqzoo run digits --out {folder} --resume\n"
    assert "Traceback" not in "".join(lines)
    model, _ = train(folder, resume=True)
    assert_same(weights(model), undisturbed[0])
