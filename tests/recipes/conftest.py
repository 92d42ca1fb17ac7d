"""What tests of the recipes share: a small run, finished once for all that only look at it; the command; a text."""

from collections.abc import Callable
from pathlib import Path

import pytest

import recipes
from recipes import cli
from tests.recipes.small import FIELDS
from tests.recipes.small_text import sentences


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> recipes.Run:
    return recipes.run("digits", out=tmp_path_factory.mktemp("finished") / "run", quiet=True, **FIELDS)


@pytest.fixture
def model_file(finished) -> Path:
    return finished.folder / "model.keras"


@pytest.fixture
def seqzoo(capfd) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: -> exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.main([str(word) for word in words])
        return (code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "book.txt"
    path.write_text(sentences(120), encoding="utf-8")
    return path
