"""The verifier's own rules: what is a miss, what is not, what the report says."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from export import verification
from export.formats import Tolerance, get_format
from export.verify_report import OutputReport, VerifyReport, compare_output
from tests.export.conftest import MODELS
from tests.export.judging import FORMATS
from tests.export.random_models import randomise

L = keras.layers


def inputs_of(name: str, batch: int = 3, time: int = 9) -> dict[str, np.ndarray]:
    """Random inputs of a shared model, some of them padded."""
    rng = np.random.default_rng(5)
    if name == "classifier":
        ids = rng.integers(1, 11, (batch, time)).astype("int32")
        ids[0, 4:] = 0
        return {"token_ids": ids}
    if name == "tagger":
        x = rng.normal(size=(batch, time, 4)).astype("float32")
        x[1, 5:] = 0.0
        return {"features": x}
    return {
        "series": rng.normal(size=(batch, time, 2)).astype("float32"),
        "static": rng.normal(size=(batch, 3)).astype("float32"),
    }


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_right_artifacts_pass(name: str, fmt: str, artifact_of: Any, model_of: Any) -> None:
    report = artifact_of(name, fmt).report
    assert report.passed
    assert report.misses == []
    assert all(out.passed and out.max_abs < 1e-5 and out.cosine > 0.99999 for out in report.outputs)
    assert {out.name for out in report.outputs} == set(model_of(name).output_names) or name == "regressor"


def test_the_grid_is_what_it_says(artifact_of: Any) -> None:
    cases = artifact_of("classifier", "onnx").report.cases
    assert {f"batch {b}, time {t}" for b in (1, 2, 5) for t in (1, 7, 33)} <= set(cases)
    for words in ("padding on the left", "full, short, empty and broken rows", "extreme values", "ids at both ends"):
        assert any(words in case for case in cases)


def test_verify_takes_its_own_grid(artifact_of: Any, model_of: Any) -> None:
    report = export.verify(model_of("regressor"), artifact_of("regressor", "onnx"), batch=(4,), time=(3, 12), seed=7)
    assert {case for case in report.cases if case.startswith("batch")} == {"batch 4, time 3", "batch 4, time 12"}


def test_the_report_as_text_and_json(artifact_of: Any) -> None:
    report = artifact_of("tagger", "tflite").report
    text, plain = str(report), json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert "tags" in text
    assert "pass" in text
    assert plain["passed"] is True
    assert plain["outputs"][0]["tolerance"] == {"atol": 2e-5, "rtol": 2e-4, "relative": None}
    assert plain["ops"]["WHILE"] >= 2


def test_all_misses_are_named(artifact_of: Any, model_of: Any) -> None:
    report = export.verify(model_of("regressor"), artifact_of("regressor", "onnx"), tolerance=Tolerance(0.0, 0.0))
    assert not report.passed
    assert {"mean", "summary"} <= {word.strip("':,") for miss in report.misses for word in miss.split()}
    with pytest.raises(export.VerificationError, match=r"and \d+ more"):
        report.raise_for_failure()


def test_require_native_makes_loops_misses(artifact_of: Any, model_of: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"require_native": True, "batch": (2,), "time": (3,)}
    assert export.verify(model_of("tagger"), artifact_of("tagger", "onnx"), **options).passed
    x = keras.Input((None, 3))
    model = keras.Model(x, L.GRU(2, activation="silu")(x))
    artifact = export.export_model(model, tmp_path / "m.onnx")
    assert any("Loop" in miss for miss in export.verify(model, artifact, **options).misses)
    # The same rule as the exporter's: LiteRT's native form is a loop, and a SimpleRNN has a Scan beside its op.
    for fmt in ("tflite", "onnx"):
        assert export.verify(model_of("regressor"), artifact_of("regressor", fmt), **options).passed


def test_the_tasks_metric_goes_through_both(artifact_of: Any, model_of: Any) -> None:
    inputs = inputs_of("classifier")

    def evaluate(call: Any) -> dict[str, float]:
        return {"mean": float(call(inputs)["logits"].mean())}

    metrics = export.verify(model_of("classifier"), artifact_of("classifier", "tflite"), evaluate=evaluate).metrics
    assert metrics["keras"]["mean"] == pytest.approx(metrics["artifact"]["mean"], abs=1e-6)


def judged(want: Any, have: Any) -> tuple[OutputReport, str]:
    output = OutputReport("y", Tolerance(2e-5, 2e-4))
    return output, compare_output(output, np.asarray(want), np.asarray(have))


ONES = np.ones((2, 3), "float32")


@pytest.mark.parametrize(
    ("have", "word"),
    [
        (ONES[:, :2], "shape"),
        (ONES[None], "shape"),
        (ONES.astype("float64"), "dtype"),
        (ONES.astype("float16"), "dtype"),
        (ONES * np.float32(np.nan), "not finite"),
        (ONES * np.float32(np.inf), "not finite"),
        (np.where([[0, 0, 1]], np.float32(np.nan), ONES), "not finite"),
        (ONES + np.float32(1e-3), "differ"),
        (-ONES, "differ"),
    ],
)
def test_wrong_outputs(have: np.ndarray, word: str) -> None:
    assert word in judged(ONES, have)[1]


def test_right_outputs_and_their_figures() -> None:
    output, problem = judged(ONES, ONES + np.float32(1e-4))
    assert problem == ""
    assert output.max_abs == pytest.approx(1e-4, rel=1e-2)
    assert output.rmse == pytest.approx(1e-4, rel=1e-2)
    assert output.cosine == pytest.approx(1.0)


def test_integers_and_booleans_must_be_equal() -> None:
    assert judged(np.array([1, 2]), np.array([1, 2]))[1] == ""
    assert "1 of 2" in judged(np.array([1, 2]), np.array([1, 3]))[1]
    assert "differ" in judged(np.array([True]), np.array([False]))[1]


def test_any_loss_is_any_loss_of_integers_too() -> None:
    any_values = verification.tolerance_of(get_format("tflite"), "int8", any_values=True)
    output = OutputReport("y", any_values)
    assert compare_output(output, np.array([1, 2]), np.array([3, 4])) == ""
    assert output.argmax_agreement == 0.0


def test_the_worst_case_stays_in_the_figures() -> None:
    output = OutputReport("y", Tolerance(1.0, 1.0))
    for error in (0.5, 0.1):
        compare_output(output, ONES, ONES + np.float32(error))
    assert output.max_abs == pytest.approx(0.5)


def test_a_small_row_is_not_hidden_by_a_large_one() -> None:
    want = np.array([[1000.0, 1000.0], [0.001, 0.002]], "float32")
    have = want.copy()
    have[1] *= -1
    assert "2 of 4" in judged(want, have)[1]


def test_not_a_number_becomes_null_in_json() -> None:
    report = VerifyReport("a", "onnx", outputs=[OutputReport("y", Tolerance(0, 0), max_abs=float("nan"))])
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["outputs"][0]["max_abs"] is None


def test_rows_in_which_the_model_itself_is_not_finite_do_not_fail_the_artifact(tmp_path: Path) -> None:
    """Keras's masked mean of an empty row is 0 / 0."""
    model = keras.Sequential(
        [keras.Input((None, 4)), L.Masking(), L.GRU(3, return_sequences=True), L.GlobalAveragePooling1D()]
    )
    assert export.export_model(randomise(model), tmp_path / "m.onnx").report.passed


def test_verifying_leaves_the_model_as_it_was(artifact_of: Any, tmp_path: Path) -> None:
    x = keras.Input((None, 3))
    y = L.Bidirectional(L.LSTM(3, return_sequences=True, dropout=0.4, recurrent_dropout=0.4))(x)
    model = randomise(keras.Model(x, L.Dropout(0.5)(L.BatchNormalization()(y))))
    before = [v.numpy() for v in model.variables]
    export.export_model(model, tmp_path / "m.onnx")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    inputs = np.ones((2, 5, 3), "float32")
    assert (np.asarray(model(inputs, training=True)) != np.asarray(model(inputs, training=True))).any()
    model.compile("sgd", "mse")
    model.fit(inputs, np.zeros((2, 5, 6), "float32"), verbose=0)
    assert (model.weights[0].numpy() != before[0]).any()


def _chooser(apart: float) -> keras.Model:
    """Names the largest of three scores: where their sign is plus, two of them are nearly equal."""
    x = keras.Input((3,), name="features")
    scores = L.Dense(3, use_bias=False, name="scores")(x)
    model = keras.Model(x, {"choice": keras.ops.argmax(scores, axis=-1), "scores": scores})
    model.get_layer("scores").set_weights([np.array([[1, 1 + apart, -1], [2, 2, -2], [1, 1, -1]], "float32")])
    return model


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_choice_that_rounding_decides_is_no_miss_and_said(fmt: str, tmp_path: Path) -> None:
    artifact = export.export_model(_chooser(1e-7), tmp_path / f"a.{fmt}", format=fmt)
    weights = (model := _chooser(-1e-7)).get_weights()
    report = export.verify(model, artifact)
    assert report.passed
    assert sum(report.undecided.values()) > len(report.undecided) > 0
    assert f"left out: {next(iter(report.undecided.values()))} of {next(iter(report.undecided))}" in str(report)
    np.testing.assert_array_equal(model.get_weights(), weights)
    # Farther apart, it is the model that decides.
    report = export.verify(_chooser(-0.02), export.export_model(_chooser(0.02), tmp_path / f"b.{fmt}", format=fmt))
    assert not report.undecided
    assert any(miss.startswith("output 'choice'") for miss in report.misses)


def test_the_judge_is_not_a_graph_that_agreed_by_chance(tmp_path: Path) -> None:
    x = keras.Input((None, 2), name="x")
    places = keras.ops.cumsum(keras.ops.ones_like(x[..., :1]), axis=1)
    # The first of a few steps is the largest; TimeDistributed in a plain graph has no other.
    each = L.TimeDistributed(L.Activation("linear"))(keras.ops.abs(places - 40.0))
    model = keras.Model(x, L.GlobalMaxPooling1D(name="y")(each))
    report = export.export_model(model, tmp_path, format="onnx").report
    assert report.passed
    assert not report.skipped


def test_what_rounding_alone_moves_is_told_and_all_else_still_counts(tmp_path: Path) -> None:
    """A recurrence so strong that its states are chaos: after some hundred steps no two computations agree."""
    x = keras.Input((None, 3), name="x")
    layer = keras.layers.SimpleRNN(16, return_sequences=True, name="y")
    model = keras.Model(x, layer(x))
    rng = np.random.default_rng(0)
    kernel, recurrent, bias = (rng.normal(size=weight.shape) for weight in layer.get_weights())
    layer.set_weights([0.1 * kernel, 0.8 * recurrent, bias])
    artifact = export.export_model(model, tmp_path / "m.onnx")
    # How soon the chaos is seen depends on the machine's rounding, that it is seen in the end does not.
    assert artifact.report.unstable["batch 1, time 546"] > 0.1
    assert not any(case.endswith((", time 1", ", time 7")) for case in artifact.report.unstable)
    assert "batch 1, time 546 (" in str(artifact.report)
    layer.set_weights([0.1 * kernel, 0.8 * recurrent, bias + 1e-3])
    assert any("batch 2, time 7" in miss for miss in export.verify(model, artifact).misses)


def test_forbidden_tokens_are_no_miss_and_others_are(tmp_path: Path) -> None:
    """Logits of -inf on purpose stand where the model has them, and the rest is compared."""

    def model_of(scores: list[float]) -> keras.Model:
        keras.utils.set_random_seed(0)
        x = keras.Input((None, 3), name="x")
        logits = L.Dense(3)(L.GRU(4, return_sequences=True)(x))
        return keras.Model(x, L.Lambda(lambda y: y + np.array(scores, "float32"), name="y")(logits))

    model = model_of([-np.inf, 0.0, 0.0])
    for fmt in ("onnx", "tflite"):
        path = export.export_model(model, tmp_path, format=fmt).path
        assert not export.verify(model_of([-np.inf, 0.0, 0.1]), path).passed
        assert not export.verify(model_of([0.0, -np.inf, 0.0]), path).passed
