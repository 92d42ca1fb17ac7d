"""Files of one size, for runtimes that take no other: LiteRT in a browser, boards."""

from pathlib import Path

import keras
import numpy as np
import pytest

import export
from tests.export import user_cells
from tests.export.judging import plain_runtime
from tests.export.random_models import randomise

L = keras.layers
FORMATS = ("tflite", "onnx", "saved_model")


def tagger() -> keras.Model:
    tokens, mood = keras.Input((None,), dtype="int32", name="token_ids"), keras.Input((3,), name="mood")
    x = L.Embedding(9, 4, mask_zero=True, name="embedding")(tokens)
    x = L.GRU(5, return_sequences=True, name="gru")(x, initial_state=L.Dense(5, name="start")(mood))
    return randomise(keras.Model([tokens, mood], L.Dense(2, name="tags")(x)), seed=1)


@pytest.mark.parametrize("fmt", FORMATS)
def test_batch_and_time_are_fixed_and_verified_as_such(fmt: str, tmp_path: Path) -> None:
    model = tagger()
    artifact = export.export_model(model, tmp_path, fmt, batch=1, time=12)
    runtime = export.load_runtime(artifact.path)
    assert {port.name: port.shape for port in runtime.inputs} == {"token_ids": (1, 12), "mood": (1, 3)}
    inputs = {"token_ids": np.ones((1, 12), "int32"), "mood": np.ones((1, 3), "float32")}
    np.testing.assert_allclose(runtime(inputs)["tags"], model(list(inputs.values())), rtol=1e-4, atol=1e-5)
    assert export.verify(model, artifact).passed
    with pytest.raises(export.ArtifactError, match=r"\(1, 12\), not of shape \(1, 13\)"):
        runtime({**inputs, "token_ids": np.ones((1, 13), "int32")})


def test_a_state_that_is_a_constant_runs_in_float16(tmp_path: Path) -> None:
    """With sizes known, the converter finds the constant, and XNNPACK can't hand one on that it dequantizes."""
    x = keras.Input((None, 3), name="x")
    model = randomise(keras.Model(x, L.RNN(user_cells.StartedCell(4), return_sequences=True)(x)))
    path = export.export_model(model, tmp_path / "m.tflite", batch=1, time=6, precision="float16", verify=False).path
    frames = np.random.default_rng(0).normal(size=(1, 6, 3)).astype("float32")
    (got,) = plain_runtime(path)({"x": frames}).values()
    np.testing.assert_allclose(got, np.asarray(model(frames)), atol=5e-3)


@pytest.mark.parametrize("cell", [L.LSTM, L.GRU])
def test_both_directions_of_one_row(cell: type, tmp_path: Path) -> None:
    """tf2onnx takes a Transpose for none where the batch is 1."""
    x = keras.Input((None, 3), name="x")
    model = randomise(keras.Model(x, L.Bidirectional(cell(3, return_sequences=True))(L.Masking()(x))))
    assert export.export_model(model, tmp_path / "m.onnx", batch=1).report.passed


def test_a_metric_takes_more_rows_than_the_artifact(tmp_path: Path) -> None:
    x = keras.Input((None, 3), name="x")
    model = randomise(keras.Model(x, L.Dense(2)(L.GRU(4)(x))))
    rng = np.random.default_rng(0)
    frames, labels = rng.normal(size=(70, 6, 3)).astype("float32"), rng.integers(0, 2, 70)
    evaluate = export.evaluate_on({"x": frames}, labels)
    artifact = export.export_model(model, tmp_path / "m.onnx", batch=4, time=6, evaluate=evaluate)
    expected = float(np.mean(np.asarray(model(frames)).argmax(-1) == labels))
    assert artifact.report.metrics["artifact"]["accuracy"] == pytest.approx(expected)
    short = export.evaluate_on({"x": frames[:, :5]}, labels)
    with pytest.raises(export.ExportError, match=r"'x' takes rows of shape \(6, 3\), and evaluate gives \(5, 3\)"):
        export.verify(model, artifact, evaluate=short)


def test_one_axis_may_stay_open(tmp_path: Path) -> None:
    artifact = export.export_model(tagger(), tmp_path / "model.onnx", time=12)
    shapes = {port.name: port.shape for port in export.load_runtime(artifact.path).inputs}
    assert shapes == {"token_ids": (None, 12), "mood": (None, 3)}


def test_a_step_has_no_batch_or_time_to_fix(tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match="leave batch and time out"):
        export.export_model(tagger(), tmp_path / "model.onnx", streaming=True, time=4)
