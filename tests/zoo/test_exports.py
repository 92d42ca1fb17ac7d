"""Every registered model, in every mode and with every cell, as a file of every format."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import zoo
from tests.zoo import exports
from tests.zoo.exports import FORMATS, check_export
from tests.zoo.support import build, case_id, configurations
from zoo.cells import CELLS

NAMES = zoo.list_models()
# The plain runtimes in turn; a SavedModel holds whatever TensorFlow runs.
PLAIN = ("onnx", "tflite")
# Not 3 units: normalised over so few, a layer may divide by almost nothing, and rounding shows.
CLASSIFIER = {"features": 4, "classes": 2, "units": (8,), "mask_value": -9.0}


@pytest.mark.parametrize(("name", "fmt"), [(name, PLAIN[i % 2]) for i, name in enumerate(NAMES)])
def test_every_model_fits_in_a_file(name: str, fmt: str, tmp_path: Path) -> None:
    check_export(name, dict(zoo.get_spec(name).tiny), fmt, tmp_path, quick=True)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(("name", "fields"), configurations(), ids=case_id)
def test_every_mode_fits_in_every_format(name: str, fields: dict[str, Any], fmt: str, tmp_path: Path) -> None:
    check_export(name, fields, fmt, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", list(CELLS))
def test_every_cell_fits_in_every_format(cell: str, bidirectional: bool, fmt: str, tmp_path: Path) -> None:
    check_export("sequence_classifier", {**CLASSIFIER, "cell": cell, "bidirectional": bidirectional}, fmt, tmp_path)


def test_what_a_format_cannot_hold_must_still_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = zoo.get_spec("markov")
    named = dataclasses.replace(spec, unsupported={"onnx": "it is said to lack an op"})
    monkeypatch.setattr(zoo, "get_spec", lambda name: named)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_export("markov", dict(spec.tiny), "onnx", tmp_path)
    # A model that the format does not hold: the same entry passes.
    monkeypatch.setattr(exports, "build", lambda name, fields: build(name, fields).get_layer("logits"))
    check_export("markov", dict(spec.tiny), "onnx", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_unsupported_is_a_format_and_has_a_reason(name: str) -> None:
    for fmt, reason in zoo.get_spec(name).unsupported.items():
        assert fmt in FORMATS
        assert reason
