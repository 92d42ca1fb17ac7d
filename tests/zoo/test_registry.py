"""Looking models up, and what happens when a name, a type or a value is wrong."""

import inspect
import re
from typing import Any

import numpy as np
import pytest

import zoo
from zoo.fields import Range
from zoo.specs import TaskShape, TensorSpec

CLASSIFIER = {"features": 4, "classes": 2, "units": (3,)}


def test_names_are_found_by_pattern_shape_and_streamability() -> None:
    assert "sequence_tagger" in zoo.list_models("*tagger*")
    assert "sequence_classifier" not in zoo.list_models("*tagger*")
    assert zoo.list_models("sequence_classifier", shape="many-to-one") == ["sequence_classifier"]
    assert zoo.list_models("sequence_classifier", shape=TaskShape.MANY_TO_MANY) == []
    assert zoo.list_models("language_model", streamable=True) == ["language_model"]
    assert zoo.list_models("language_model", streamable=False) == []
    assert zoo.list_models("no such thing") == []
    assert zoo.list_models() == sorted(zoo.list_models())


def test_streamability_follows_the_configuration() -> None:
    spec = zoo.get_spec("sequence_tagger")
    assert spec.streamable
    assert spec.is_streamable(cell="gru", features=9)
    assert not spec.is_streamable(bidirectional=True)


@pytest.mark.parametrize("name", zoo.list_models())
def test_entries_are_complete(name: str) -> None:
    spec = zoo.get_spec(name)
    assert spec.name == name
    assert spec.summary.endswith(".")
    assert spec.equation
    assert spec.references
    assert all(re.search(r"\d{4}", reference) for reference in spec.references)
    assert all(field.doc.endswith(".") and field.type for field in spec.fields.values())
    for field in spec.fields.values():
        if not field.required:
            assert field.check(field.default) == field.default
    assert "Returns:" in spec.docstring


def test_the_builder_checks_too() -> None:
    from zoo.many_to_one import sequence_classifier

    with pytest.raises(ValueError, match="classes must be an integer at least 1, got 0"):
        sequence_classifier(features=3, classes=0)
    with pytest.raises(TypeError, match="takes its fields by name"):
        sequence_classifier(3, 2)
    assert list(inspect.signature(sequence_classifier).parameters) == list(zoo.get_spec("sequence_classifier").fields)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"feature": 3}, TypeError, "sequence_classifier has no field 'feature'; did you mean 'features'?"),
    ({"zzz": 3}, TypeError, "has no field 'zzz'; it has features, vocabulary, classes"),
    ({"classes": 0}, ValueError, "classes must be an integer at least 1, got 0"),
    ({"classes": 2.5}, TypeError, "classes must be an integer at least 1, got 2.5"),
    ({"classes": True}, TypeError, "classes must be an integer at least 1, got True"),
    ({"classes": None}, TypeError, "classes must be an integer at least 1, got None"),
    ({"features": -3}, ValueError, "features must be an integer at least 1 or None, got -3"),
    ({"features": "3"}, TypeError, "features must be an integer at least 1 or None, got '3'"),
    ({"units": (8, 0)}, ValueError, "units must be a non-empty tuple, each an integer at least 1, got (8, 0)"),
    ({"units": ()}, ValueError, "units must be a non-empty tuple, each an integer at least 1, got ()"),
    ({"units": 8}, TypeError, "units must be a non-empty tuple, each an integer at least 1, got 8"),
    ({"units": "8,8"}, TypeError, "units must be a non-empty tuple, each an integer at least 1, got '8,8'"),
    ({"units": (8, "8")}, TypeError, "units must be a non-empty tuple, each an integer at least 1, got (8, '8')"),
    ({"dropout": 1.5}, ValueError, "dropout must be a number at least 0 and below 1, got 1.5"),
    ({"dropout": 1}, ValueError, "dropout must be a number at least 0 and below 1, got 1"),
    ({"dropout": -0.1}, ValueError, "dropout must be a number at least 0 and below 1, got -0.1"),
    ({"dropout": float("nan")}, ValueError, "dropout must be a number at least 0 and below 1, got nan"),
    ({"dropout": "0.1"}, TypeError, "dropout must be a number at least 0 and below 1, got '0.1'"),
    ({"recurrent_dropout": 1.0}, ValueError, "recurrent_dropout must be a number at least 0 and below 1, got 1.0"),
    ({"mask_value": float("inf")}, ValueError, "mask_value must be a number or None, got inf"),
    ({"cell": "lstmm"}, ValueError, "got 'lstmm'; did you mean 'lstm'?"),
    ({"cell": "transformer"}, ValueError, "cell must be one of 'simple_rnn', 'lstm', "),
    ({"cell": 3}, TypeError, "got 3"),
    ({"cell": ["lstm"]}, TypeError, "got ['lstm']"),
    ({"bidirectional": 1}, TypeError, "bidirectional must be True or False, got 1"),
    ({"vocabulary": 9}, ValueError, "give exactly one of features= (vectors) and vocabulary= (token ids), got both"),
    (
        {"features": None},
        ValueError,
        "give exactly one of features= (vectors) and vocabulary= (token ids), got neither",
    ),
    ({"features": None, "vocabulary": 1}, ValueError, "vocabulary must be an integer at least 2 or None, got 1"),
    (
        {"features": None, "vocabulary": 9, "mask_value": 0.0},
        ValueError,
        "mask_value is for feature vectors, got 0.0; token id 0 is padding already",
    ),
]


@pytest.mark.parametrize(("fields", "kind", "message"), WRONG, ids=[str(fields) for fields, *_ in WRONG])
def test_a_wrong_field_is_one_clear_line(fields: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)) as caught:
        zoo.create_model("sequence_classifier", **(CLASSIFIER | fields))
    assert str(caught.value).startswith("sequence_classifier")
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(TypeError, match=r"^sequence_classifier needs a value for classes$"):
        zoo.create_model("sequence_classifier", features=4)


def test_an_unknown_name_suggests_the_near_one() -> None:
    with pytest.raises(ValueError, match=r"^unknown model 'sequence_clasifier'; did you mean 'sequence_classifier'\?$"):
        zoo.create_model("sequence_clasifier", features=4, classes=2)
    with pytest.raises(ValueError, match=r"^unknown model 'zzz'; there are .*language_model"):
        zoo.get_spec("zzz")
    with pytest.raises(
        ValueError, match=r"^unknown task shape 'many-to-mny'; one of .*; did you mean 'many-to-many'\?$"
    ):
        zoo.list_models(shape="many-to-mny")


def test_values_that_mean_the_same_are_taken() -> None:
    fields = {"features": np.int64(4), "classes": 2, "units": [3, np.int32(2)], "dropout": 0, "mask_value": 0}
    config = zoo.get_spec("sequence_classifier").configure(**fields)
    assert config["units"] == (3, 2)
    assert [type(config[name]) for name in ("features", "units", "dropout", "mask_value")] == [int, tuple, float, float]


def test_registration_refuses_what_cannot_work() -> None:
    from zoo.many_to_one import sequence_classifier

    entry = {
        "shape": TaskShape.MANY_TO_ONE,
        "inputs": {"features": "batch time features"},
        "outputs": {"logits": "batch classes"},
        "streamable": True,
        "references": (),
        "tiny": {},
    }
    before = zoo.list_models()
    with pytest.raises(ValueError, match=r"there is already a model 'sequence_classifier', from zoo\.many_to_one"):
        zoo.register_model(**entry)(sequence_classifier)

    def positional(features: int) -> None:
        """Builds nothing."""

    def misnamed(*, features: int) -> None:
        """Builds nothing.

        Args:
            features: A size.
        """

    with pytest.raises(TypeError, match="argument features must be keyword-only, annotated and documented"):
        zoo.register_model(**entry)(positional)
    with pytest.raises(ValueError, match="misnamed: axis 'classes' is neither a field nor one of"):
        zoo.register_model(**entry)(misnamed)
    assert zoo.list_models() == before


def test_tensor_notation() -> None:
    ids = TensorSpec.parse("batch time < vocabulary")
    assert (ids.axes, ids.below, ids.dtype, str(ids)) == (
        ("batch", "time"),
        "vocabulary",
        "int32",
        "batch time < vocabulary",
    )
    assert ids.is_present({"vocabulary": 3})
    assert not ids.is_present({"vocabulary": None})
    sampled = TensorSpec.parse("batch time < classes if mode=best|sampled")
    assert (sampled.condition, sampled.below) == (("mode", ("best", "sampled")), "classes")
    assert str(sampled) == "batch time < classes if mode=best|sampled"
    assert [sampled.is_present({"classes": 2, "mode": mode}) for mode in ("best", "given")] == [True, False]
    vectors = TensorSpec.parse("batch time features")
    assert (vectors.dtype, vectors.shape({"features": 5})) == ("float32", (None, None, 5))
    for wrong in ("", "time features", "batch < a < b", "batch 3", "batch <"):
        with pytest.raises(ValueError, match="axes must read like"):
            TensorSpec.parse(wrong)


def test_ranges() -> None:
    rate = Range(min=0, below=1)
    assert [value in rate for value in (-1e-9, 0, 0.5, 1, float("nan"))] == [False, True, True, False, False]
    assert [value in Range(above=0) for value in (0, 1e-9)] == [False, True]
    assert [value in Range(max=2) for value in (2, 2.1)] == [True, False]
    assert str(Range(above=0, max=2)) == "more than 0 and at most 2"
