"""Which package may stand on which: read from the imports themselves."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "zoo": {"export", "recipes", "tests", "tensorflow", "tf_keras", "jax", "torch"},
    "export": {"zoo", "recipes", "tests"},
    "recipes": {"tests"},
}
ZOO_STANDS_ON = {"zoo", "keras", "numpy"}


def imported(source: str) -> set[str]:
    """The top-level packages that a module imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their package in full"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_floor_stands_on_one_above(package: str) -> None:
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    for module in modules:
        found = imported(module.read_text()) & FORBIDDEN[package]
        assert not found, f"{module.relative_to(ROOT)} imports {found}"


def test_zoo_needs_keras_and_numpy_only() -> None:
    import sys

    for module in (ROOT / "zoo").rglob("*.py"):
        found = imported(module.read_text()) - ZOO_STANDS_ON - set(sys.stdlib_module_names)
        assert not found, f"{module.relative_to(ROOT)} imports {found}"


def test_imports_are_found_at_any_depth() -> None:
    assert imported("def f():\n    from a.b import c\n    import d.e") == {"a", "d"}


def test_files_and_functions_stay_small() -> None:
    for module in (ROOT / "zoo").rglob("*.py"):
        source = module.read_text()
        assert len(source.splitlines()) < 300, module
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert length < 40, f"{module.name}: {node.name} has {length} lines"
    assert len((ROOT / "zoo" / "registry.py").read_text().splitlines()) < 200
