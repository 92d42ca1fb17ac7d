"""The manual's table of proofs names tests that exist, and every kind of model that claims something of its own."""

import ast
import re
from pathlib import Path

import pytest

import zoo

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs" / "zoo.md").read_text()
NAMED = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", TEXT)


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_the_manual_names_tests_that_exist(file: str) -> None:
    tree = ast.parse((HERE / file).read_text())
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {test for other, test in NAMED if other == file and test} <= there


def test_the_manual_speaks_of_models_that_exist() -> None:
    modules = {zoo.get_spec(name).builder.__module__ for name in zoo.list_models()}
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`([a-z_*]+)`", row)}
    for name in named:
        assert zoo.list_models(name), name
    spoken_of = {zoo.get_spec(model).builder.__module__ for name in named for model in zoo.list_models(name)}
    # Taggers, language models and plain classifiers claim what every entry does.
    assert modules - spoken_of <= {"zoo.many_to_one"}
