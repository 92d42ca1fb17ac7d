"""A small run, finished once for all tests that only look at it."""

from pathlib import Path

import pytest

import recipes
from tests.recipes.small import FIELDS


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> recipes.Run:
    return recipes.run("digits", out=tmp_path_factory.mktemp("finished") / "run", quiet=True, **FIELDS)


@pytest.fixture
def model_file(finished) -> Path:
    return finished.folder / "model.keras"
