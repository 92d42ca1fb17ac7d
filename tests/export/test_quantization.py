"""Artifacts of fewer bits: what they do, weigh, hold and tell, judged by the plain runtimes against Keras."""

import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

import export
from export.float_parts import float_parts, precision_of
from tests.export.judging import SUFFIXES, plain_runtime
from tests.export.random_models import randomise

L = keras.layers


CELLS = {"LSTM": L.LSTM, "GRU": L.GRU, "SimpleRNN": L.SimpleRNN}


def recurrent(kind: str, units: int, *, features: int = 8, both: bool = False) -> keras.Model:
    """Masked features, one label a sequence; wide enough that its weights are worth quantizing."""
    x = keras.Input((None, features), name="features")
    layer = CELLS[kind](units, name="recurrent")
    y = (L.Bidirectional(layer, name="both") if both else layer)(L.Masking(name="masking")(x))
    return randomise(keras.Model(x, L.Dense(10, name="logits")(y), name=f"{kind.lower()}_{units}"), seed=units)


def convolutional() -> keras.Model:
    x = keras.Input((20, 8), name="features")
    y = L.Conv1D(32, 3, padding="causal", activation="relu", name="convolution")(x)
    return randomise(keras.Model(x, L.Dense(5, name="logits")(L.Flatten()(y)), name="convolutional"))


def inputs(model: keras.Model, count: int = 40, time: int = 20, seed: int = 5) -> dict[str, np.ndarray]:
    features = model.inputs[0].shape[-1]
    return {"features": np.random.default_rng(seed).normal(size=(count, time, features)).astype("float32")}


def relative_error(model: keras.Model, path: Path, seed: int = 9) -> float:
    """On inputs that no calibration has seen, by nothing but the runtime."""
    arrays = inputs(model, seed=seed)
    want, got = np.asarray(model(arrays["features"])), plain_runtime(path)(arrays)["logits"]
    assert got.dtype == want.dtype
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


# Format, precision -> the largest relative error: what the format's table allows, or less.
BOUNDS = {"float16": 2e-3, "int8": 5e-2}
LONG = {("GRU", "float16"), ("SimpleRNN", "float16"), ("SimpleRNN", "int8")}


@pytest.mark.parametrize(
    ("kind", "fmt", "precision"),
    [
        pytest.param(kind, fmt, precision, marks=pytest.mark.slow if (kind, precision) in LONG else [])
        for kind, fmt, precision in itertools.product(CELLS, ("tflite", "onnx"), BOUNDS)
    ],
)
def test_recurrent_models_in_fewer_bits(kind: str, fmt: str, precision: str, tmp_path: Path) -> None:
    model = recurrent(kind, 48, both=kind == "LSTM")
    path = tmp_path / f"m{SUFFIXES[fmt]}"
    artifact = export.export_model(model, path, precision=precision)
    assert artifact.report.passed
    assert artifact.report.precision == precision_of(path) == precision
    assert 1e-6 < relative_error(model, path) < BOUNDS[precision]  # not float32 under another name
    entry = json.loads((tmp_path / "manifest.json").read_text())["artifacts"][path.name]
    assert entry["precision"] == precision
    if kind != "GRU":
        return
    again = export.verify(model, path, batch=(2,), time=(5,))
    assert again.passed
    assert again.precision == precision


@pytest.mark.parametrize(("fmt", "precision"), [("tflite", "int8_full"), ("tflite", "int16x8"), ("onnx", "int8_full")])
def test_calibrated_precisions(fmt: str, precision: str, tmp_path: Path) -> None:
    model, path = convolutional(), tmp_path / f"m{SUFFIXES[fmt]}"
    arrays = inputs(model)
    artifact = export.export_model(model, path, precision=precision, calibration=arrays)
    assert artifact.report.passed
    assert any("data" in case for case in artifact.report.cases)
    assert 1e-5 < relative_error(model, path) < 5e-2
    assert "QUANTIZE" in artifact.report.ops or "QuantizeLinear" in artifact.report.ops
    assert not artifact.report.left_in_float
    # Judged by real inputs only: without any, nothing is proven.
    assert not export.verify(model, path).passed
    assert export.verify(model, path, data=arrays).passed


# format, precision, units -> size relative to float32
LIMITS = {
    ("tflite", "int8", 256): 0.42,
    ("onnx", "int8", 256): 0.30,
    ("onnx", "int8", 64): 0.30,
    ("tflite", "float16", 256): 0.54,
    ("onnx", "float16", 256): 0.52,
}


@pytest.mark.parametrize(("fmt", "precision", "units"), LIMITS)
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_size_of_a_wide_layer(kind: str, fmt: str, precision: str, units: int, tmp_path: Path) -> None:
    x = keras.Input((None, 16), name="features")
    model = randomise(keras.Model(x, L.Dense(10, name="logits")(CELLS[kind](units)(x))))
    sizes = [
        export.export_model(model, tmp_path / f"{name}{SUFFIXES[fmt]}", precision=name, verify=False).bytes
        for name in ("float32", precision)
    ]
    assert sizes[1] <= LIMITS[fmt, precision, units] * sizes[0]


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
@pytest.mark.parametrize("units", [1, 3])
def test_a_tiny_model_does_not_grow(units: int, fmt: str, precision: str, tmp_path: Path) -> None:
    """Scales, zero points and their names may weigh more than the weights do."""
    model = recurrent("LSTM", units, features=2)
    sizes = [
        export.export_model(model, tmp_path / f"{name}{SUFFIXES[fmt]}", precision=name, verify=False).bytes
        for name in ("float32", precision)
    ]
    assert sizes[1] <= sizes[0] + 400


def test_onnx_makes_the_lstm_integer_and_packs_the_rest(tmp_path: Path) -> None:
    x = keras.Input((None, 8), name="features")
    y = L.GRU(32, name="gru")(L.LSTM(32, return_sequences=True, name="lstm")(x))
    model = randomise(keras.Model(x, L.Dense(10, name="logits")(y)))
    artifact = export.export_model(model, tmp_path / "m.onnx", precision="int8")
    assert artifact.report.ops["com.microsoft::DynamicQuantizeLSTM"] == 1
    assert artifact.report.ops["GRU"] == 1
    assert "LSTM" not in artifact.report.ops
    graph = onnx.load(str(artifact.path)).graph
    large = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and np.prod(t.dims) > 500]
    assert not large
    assert {"GRU", "MatMul"} <= {part.op for part in artifact.report.left_in_float}


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
def test_packed_weights_need_no_session_option(level: str, tmp_path: Path) -> None:
    import onnxruntime

    model = recurrent("GRU", 32)
    path = export.export_model(model, tmp_path / "m.onnx", precision="int8").path
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    arrays = inputs(model)
    (got,) = session.run(None, arrays)
    np.testing.assert_allclose(got, plain_runtime(path)(arrays)["logits"], atol=1e-5)


def test_loops_are_packed_inside(tmp_path: Path) -> None:
    """A cell without an operator of its own is a Loop, whose body holds or refers to its weights."""
    x = keras.Input((None, 8), name="features")
    model = randomise(keras.Model(x, L.Dense(10, name="logits")(L.LSTM(64, activation="silu")(x))))
    sizes = {}
    for precision in ("float32", "int8"):
        artifact = export.export_model(model, tmp_path / f"{precision}.onnx", precision=precision)
        sizes[precision] = artifact.bytes
        assert artifact.report.ops["Loop"] == 1
    assert sizes["int8"] < 0.4 * sizes["float32"]


def test_what_stays_float_is_listed_by_op_and_layer(tmp_path: Path) -> None:
    """LiteRT quantizes no weight below 1,024 values: here the head's."""
    model = recurrent("LSTM", 48)
    artifact = export.export_model(model, tmp_path / "m.tflite", precision="int8")
    (head,) = [part for part in artifact.report.left_in_float if part.weight_bytes]
    assert (head.op, head.count, head.layers) == ("FULLY_CONNECTED", 1, ("logits",))
    assert head.weight_bytes == 4 * 48 * 10
    listed = json.loads((tmp_path / "manifest.json").read_text())["artifacts"]["m.tflite"]["left_in_float"]
    assert listed[0]["layers"] == ["logits"]
    assert {"TANH", "LOGISTIC"} <= {part["op"] for part in listed}
    assert "left in float32: 1 x FULLY_CONNECTED" in str(artifact.report)
    # In float32 everything is, and each layer's weights are found again.
    plain = export.export_model(model, tmp_path / "plain.tflite", verify=False).path
    assert set(float_parts(plain, model)[0].layers) == {"recurrent/lstm_cell", "logits"}
    assert float_parts(plain, model)[0].weight_bytes == 4 * sum(w.numpy().size for w in model.weights if w.ndim > 1)


REFUSED = [
    ("m.saved_model", "int8", r"saved_model has no int8.*int8 as tflite or onnx"),
    ("m.onnx", "int16x8", r"onnx has no int16x8.*int16x8 as tflite.*int8"),
    ("m.tflite", "int9", r"unknown precision 'int9'; did you mean 'int8'\?"),
    ("m.tflite", "int8_full", r"needs calibration data.*'int8'"),
    ("m.tflite", "int16x8", r"needs calibration data"),
]


@pytest.mark.parametrize(("name", "precision", "text"), REFUSED)
def test_the_impossible_is_refused_before_the_model_is_traced(
    name: str, precision: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("traced")

    monkeypatch.setattr("export.exporting.trace", never)
    with pytest.raises(export.QuantizationError, match=text):
        export.export_model(recurrent("GRU", 4), tmp_path / name, precision=precision)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("streaming", [False, True])
def test_integers_do_not_go_with_int16x8(streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("export.quantization_tflite.calibrate_in_child")
    x = keras.Input((None if streaming else 6,), dtype="int32", name="ids")
    y = L.Embedding(9, 4)(x)
    model = keras.Model(x, L.GRU(3, return_sequences=True)(y) if streaming else L.Dense(2)(y))
    options: dict[str, Any] = {"precision": "int16x8", "calibration": {"ids": np.ones((3, 6), "int32")}}
    with pytest.raises(export.QuantizationError, match=r"'ids' is int32.*nearest that works: precision 'int8_full'"):
        export.export_model(model, tmp_path / "m.tflite", streaming=streaming, **options)


@pytest.mark.parametrize(
    ("fmt", "text"),
    [
        ("tflite", r"layer 'recurrent' is a while loop.*'int8'.*step model"),
        ("onnx", r"'recurrent'.*'int8'.*step model as tflite"),
    ],
)
def test_a_recurrence_is_not_calibrated(fmt: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calibrator would end the process, or give a wrong file without a word."""

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("converted")

    monkeypatch.setattr(f"export.exporting.{fmt}.convert", never)
    model = recurrent("GRU", 4)
    with pytest.raises(export.QuantizationError, match=text):
        export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}", precision="int8_full", calibration=inputs(model))
    assert list(tmp_path.iterdir()) == []


def _spoil(path: Path, kind: str) -> None:
    """Negates the largest integer weights of a file, or halves their scales."""
    model = onnx.load(str(path))
    wanted = onnx.TensorProto.INT8 if kind == "weights" else onnx.TensorProto.FLOAT
    scales = {name for node in model.graph.node if node.op_type == "Mul" for name in node.input}
    tensors = [t for t in model.graph.initializer if t.data_type == wanted and (kind == "weights" or t.name in scales)]
    tensor = max(tensors, key=lambda t: int(np.prod(t.dims)))
    array = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(-array if kind == "weights" else array / 2, tensor.name))
    onnx.save(model, str(path))


@pytest.mark.parametrize("kind", ["weights", "scales"])
def test_a_spoiled_file_is_caught(kind: str, tmp_path: Path) -> None:
    """The bounds of int8 are wide; a wrong weight is wider."""
    model = recurrent("GRU", 32)
    path = export.export_model(model, tmp_path / "m.onnx", precision="int8").path
    _spoil(path, kind)
    report = export.verify(model, path)
    assert not report.passed
    with pytest.raises(export.VerificationError, match=r"% are allowed.*float16 loses less"):
        report.raise_for_failure()


def test_opset_and_metadata_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export.export_model(recurrent("LSTM", 16), path, precision="int8", opset=20, metadata={"labels": ["a", "b"]})
    proto = onnx.load(str(path))
    assert {o.domain: o.version for o in proto.opset_import}[""] == 20
    assert json.loads({p.key: p.value for p in proto.metadata_props}["seqzoo"])["labels"] == ["a", "b"]
    assert [v.name for v in proto.graph.input] == ["features"]
    assert [d.dim_param for d in proto.graph.input[0].type.tensor_type.shape.dim[:2]] == ["batch", "time"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
@pytest.mark.parametrize("units", [5, 16, 33, 100, 256])
@pytest.mark.parametrize("kind", CELLS)
def test_the_full_grid(kind: str, units: int, fmt: str, precision: str, tmp_path: Path) -> None:
    for both in (False, True):
        model = recurrent(kind, units, both=both)
        path = tmp_path / f"m{SUFFIXES[fmt]}"
        assert export.export_model(model, path, precision=precision).report.passed
        assert relative_error(model, path) < BOUNDS[precision]
