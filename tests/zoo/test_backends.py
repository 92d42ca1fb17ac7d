"""The zoo stands on Keras alone: every model is built and trained under every backend of Keras."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_model_takes_a_training_step(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install -e '.[backends]'")
    done = subprocess.run(
        [sys.executable, "-m", "tests.zoo.one_step"],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["backend"] == backend
    assert result["wrong"] == dict.fromkeys(zoo.list_models(), "")
