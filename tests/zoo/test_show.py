"""`seqzoo show` prints every entry of the registry, whole."""

import json
from typing import Any

import pytest

import export
import zoo
from recipes.cli import main


def entry_of(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The model of that name; a recipe of the same name comes after it."""
    assert main(["show", name, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    return printed[0] if isinstance(printed, list) else printed


@pytest.mark.parametrize("name", zoo.list_models())
def test_every_entry_is_shown_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry, spec = entry_of(name, capsys), zoo.get_spec(name)
    facts = entry["facts"]
    assert (entry["kind"], facts["shape"], facts["streamable"]) == ("model", str(spec.shape), spec.streamable)
    assert [line for line in spec.equation.splitlines() if line not in entry["description"]] == []
    assert facts["references"] == list(spec.references)
    assert facts["formats"] == {fmt: spec.unsupported.get(fmt, "yes") for fmt in export.FORMATS}
    shown = {field["field"]: field for field in entry["fields"]}
    assert list(shown) == list(spec.fields)
    for field in spec.fields.values():
        default = "(required)" if field.required else json.loads(json.dumps(field.default))
        expected = {"field": field.name, "type": field.type, "default": default, "meaning": field.doc}
        assert shown[field.name] == expected
    # Every tensor of the tiny model that the registry names stands in the diagram.
    config = spec.configure(**spec.tiny)
    drawn = {line.split()[0].rstrip("*") for line in entry["diagram"]}
    for key, tensor in (spec.inputs | spec.outputs).items():
        assert (key in drawn) == tensor.is_present(config), key
    (tiny, small), (default, large) = facts["parameters"].items()
    assert tiny.startswith("tiny (")
    assert default.startswith("default (")
    # The default size gives nothing that has a default: it is as large as the documentation says.
    given = {field for field in spec.fields if f"{field}=" in default}
    assert all(spec.fields[field].required or spec.fields[field].default is None for field in given)
    assert large >= small > 0


def test_what_is_printed_for_people_has_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "clockwork_rnn"]) == 0
    out = capsys.readouterr().out
    for words in (
        "Diagram of the tiny size:",
        "module_4  SimpleRNN",
        "Equation:",
        "shape: many-to-many",
        "streamable: True",
        "parameters: tiny (features=4, classes=2, units=2, periods=(1, 2, 4)): 68;",
        "default (features=4, classes=2): 3,010",
        "formats: saved_model: yes; tflite: yes; onnx: yes",
        "references: Koutnik",
        "a non-empty tuple, each an integer at least 1",
        "1 2 4 8",
    ):
        assert words in out


def test_a_model_and_a_recipe_of_one_name_are_both_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "language_model"]) == 0
    out = capsys.readouterr().out
    assert out.index("language_model (model)") < out.index("language_model (recipe)")
    assert "data: language_model needs a text to learn from" in out
