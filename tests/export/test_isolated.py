"""Each artifact in a process, and once in an environment, that has its runtime and NumPy only."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.export.conftest import MODELS
from tests.export.judging import SUFFIXES, difference
from tests.export.test_verification import inputs_of

SCRIPT = Path(__file__).with_name("isolated.py")


def run_alone(python: str, artifact: Path, model: keras.Model, name: str, folder: Path) -> None:
    inputs = inputs_of(name)
    np.savez(folder / "in.npz", **inputs)
    command = [python, "-I", str(SCRIPT), str(artifact), str(folder / "in.npz"), str(folder / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    want = model(inputs if len(inputs) > 1 and isinstance(model.input, dict) else list(inputs.values()))
    want = want if isinstance(want, dict) else {model.output_names[0]: want}
    got = dict(np.load(folder / "out.npz"))
    assert set(got) == set(want)
    for key, y in want.items():
        assert difference(np.asarray(y), got[key]) == ""


@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
@pytest.mark.parametrize("name", MODELS)
def test_runs_without_tensorflow_and_this_project(
    name: str, fmt: str, artifact_of: Any, model_of: Any, tmp_path: Path
) -> None:
    run_alone(sys.executable, artifact_of(name, fmt).path, model_of(name), name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("fmt", "package"), [("tflite", "ai-edge-litert"), ("onnx", "onnxruntime")])
def test_runs_in_an_environment_with_nothing_but_its_runtime(
    fmt: str, package: str, artifact_of: Any, model_of: Any, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", package, "numpy"], check=True, timeout=500)
    run_alone(python, artifact_of("tagger", fmt).path, model_of("tagger"), "tagger", tmp_path)
    assert SUFFIXES[fmt] in artifact_of("tagger", fmt).path.name


def test_running_an_artifact_imports_no_tensorflow(artifact_of: Any) -> None:
    """The project's own wrapper needs none either, SavedModels aside."""
    for fmt in ("tflite", "onnx"):
        path = artifact_of("classifier", fmt).path
        code = (
            "import sys, numpy as np, export\n"
            f"r = export.load_runtime({str(path)!r}); r({{'token_ids': np.ones((1, 3), 'int32')}})\n"
            "assert not {'tensorflow', 'keras'} & set(sys.modules), 'heavy'"
        )
        root = SCRIPT.parents[2]
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
