"""Step models in fewer bits, from one call of `export_model`: verified in chunks, their drift measured and reported."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import export
from export import stream_precision
from export.drift import DriftReport, measure_drift
from tests.export.random_models import randomise

L = keras.layers
MEAN = {"float16": 0.005, "int8": 0.03, "int8_full": 0.12, "int16x8": 0.03}


def model_of(kind: str) -> keras.Model:
    x = keras.Input((None, 8), name="x")
    layer = getattr(L, kind)(32, return_sequences=True, name="recurrent")
    return randomise(keras.Model(x, L.Dense(6, name="y")(layer(x))))


def sequences(count: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=(count, 40, 8)).astype("float32")}


def check(model: keras.Model, path: Path, precision: str, **options: Any) -> export.Artifact:
    artifact = export.export_model(model, path, streaming=True, precision=precision, **options)
    drift = artifact.report.drift
    assert drift.bounded
    assert [output.steps for output in drift.outputs] == [1000]
    assert 0 < drift.outputs[0].mean < MEAN[precision]
    assert artifact.report.to_json()["drift"]["outputs"][0]["mean"] == drift.outputs[0].mean
    assert "drift of y: " in str(artifact.report)
    entry = json.loads((path.parent / "manifest.json").read_text())["artifacts"][path.name]
    assert entry["precision"] == precision
    assert entry["drift"]["bounded"]
    stream, x = export.Stream(artifact), sequences(1, seed=9)["x"]
    got = np.concatenate([stream.feed(part)["y"] for part in np.split(x, [1, 8, 9, 30], axis=1)], axis=1)
    want = np.asarray(model(x))
    assert np.sqrt(np.mean((got - want) ** 2)) < 2 * MEAN[precision] * np.sqrt(np.mean(want**2))
    return artifact


@pytest.mark.parametrize("precision", ["int8", pytest.param("float16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "suffix"), [("LSTM", "tflite"), ("GRU", "onnx")])
def test_weights_in_fewer_bits(kind: str, suffix: str, precision: str, tmp_path: Path) -> None:
    artifact = check(model_of(kind), tmp_path / f"model.{suffix}", precision)
    if suffix == "tflite":
        assert set(Interpreter(str(artifact.path)).get_signature_list()) == {"step", "serve", "reset"}
    whole = export.export_model(model_of(kind), tmp_path / f"float.{suffix}", streaming=True)
    assert whole.report.drift is None
    assert artifact.bytes < whole.bytes


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8_full", "int16x8"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_integers_throughout(kind: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(kind)
    artifact = check(model, tmp_path / "model.tflite", precision, calibration=sequences())
    monkeypatch.setattr(stream_precision, "DRIFT_STEPS", 50)
    assert export.verify(model, artifact, data=sequences()).passed
    assert f"{precision} is judged by real inputs (data=)" in export.verify(model, artifact).misses[0]
    assert set(Interpreter(str(artifact.path)).get_signature_list()) == {"step", "reset"}
    assert "data, sequence 1" in artifact.report.cases


def test_the_metric_is_taken_from_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_precision, "DRIFT_STEPS", 50)
    model, data = model_of("GRU"), sequences(3, seed=2)
    evaluate = export.evaluate_on(data, np.asarray(model(data["x"])).argmax(-1), "accuracy")
    artifact = export.export_model(
        model, tmp_path / "model.onnx", streaming=True, precision="int8", evaluate=evaluate, max_metric_drop=20
    )
    assert artifact.report.metrics["keras"]["accuracy"] == 1.0
    assert 0.8 <= artifact.report.metrics["artifact"]["accuracy"] <= 1.0
    report = export.verify(model, artifact, evaluate=evaluate, max_metric_drop=20)
    assert report.passed
    assert report.metrics == artifact.report.metrics


def test_a_drift_that_grows_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from export import stream_verify

    def growing(*args: Any) -> DriftReport:
        drift = stream_precision_drift(*args)
        return DriftReport(
            tuple(dataclasses.replace(o, first=0.01, mean=0.1, last=0.5, anew=0.01) for o in drift.outputs)
        )

    stream_precision_drift = stream_verify.step_drift
    monkeypatch.setattr(stream_verify, "step_drift", growing)
    with pytest.raises(export.VerificationError, match=r"'y' drifts: 1.0% off at the start, 50.0% after 1000 steps"):
        export.export_model(model_of("LSTM"), tmp_path / "m.onnx", streaming=True, precision="int8")
    assert not (tmp_path / "m.onnx").exists()
    export.export_model(model_of("LSTM"), tmp_path / "m.onnx", streaming=True, precision="int8", max_metric_drop=None)


def test_what_only_seems_to_grow_is_measured_over_a_longer_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []

    def high_at_the_end_of_a_short_one(exact: Any, quantized: Any, sequence: Any, states: Any) -> DriftReport:
        lengths.append(len(sequence))
        report = measure_drift(exact, quantized, sequence[:20], states)
        end = {"first": 0.01, "mean": 0.1, "last": 0.5 if len(sequence) == 1000 else 0.02, "anew": 0.01}
        return DriftReport(tuple(dataclasses.replace(output, **end) for output in report.outputs))

    monkeypatch.setattr(stream_precision, "measure_drift", high_at_the_end_of_a_short_one)
    artifact = export.export_model(model_of("LSTM"), tmp_path / "m.onnx", streaming=True, precision="int8")
    assert lengths == [1000, 4000]
    assert artifact.report.drift.bounded


def test_what_cannot_be_calibrated_is_said(tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "int8_full", "calibration": sequences()}
    with pytest.raises(export.QuantizationError, match=r"no calibrated kernel.*int8_full of the step model as tflite"):
        export.export_model(model_of("GRU"), tmp_path / "m.onnx", streaming=True, **options)
    with pytest.raises(export.QuantizationError, match="shorter than one chunk of 64 steps"):
        export.export_model(model_of("GRU"), tmp_path / "m.tflite", streaming=True, chunk=64, **options)
