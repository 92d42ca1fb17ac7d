"""Files for microcontrollers, run in the micro interpreter where it is installed and in LiteRT's everywhere."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import flatbuffers
import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

import export
from export import micro_runtime
from export.micro_ops import MICRO_OPS
from tests.export.random_models import randomise

L = keras.layers
needs_runtime = pytest.mark.skipif(not micro_runtime.installed(), reason="tflite-micro is not installed")


def model_of(*layers: Any, time: int | None = 12, features: int = 5) -> keras.Model:
    x = y = keras.Input((time, features), name="x")
    for layer in layers:
        y = layer(y)
    return randomise(keras.Model(x, L.Dense(4, name="y")(y)))


def data(count: int = 40, time: int = 12, features: int = 5) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).normal(size=(count, time, features)).astype("float32")}


@needs_runtime
def test_an_int8_lstm_fits_into_8_kilobytes(tmp_path: Path) -> None:
    model = model_of(L.LSTM(64, name="lstm"), time=None, features=16)
    options: dict[str, Any] = {"precision": "int8", "calibration": data(60, 40, 16)}
    artifact = export.export_model(model, tmp_path, target="micro", time=40, **options)
    assert artifact.report.arena_bytes <= 8192
    assert artifact.bytes <= 30_000
    assert _entry(artifact.path)["arena_bytes"] == artifact.report.arena_bytes
    interpreter = Interpreter(str(artifact.path))
    assert interpreter.get_input_details()[0]["dtype"] == np.int8
    ops = export.op_histogram(artifact.path)
    assert ops["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 1
    assert "arena: " in str(artifact.report)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [L.LSTM(6, return_sequences=True), L.LSTM(6)],
        lambda: [L.Bidirectional(L.LSTM(3, return_sequences=True), name="both"), L.Conv1D(4, 3, activation="relu")],
        lambda: [L.LSTM(7, use_bias=False, go_backwards=True)],
    ],
    ids=["stacked", "both directions", "backwards"],
)
def test_float_files_start_each_call_from_zeros_in_both_runtimes(layers: Any, tmp_path: Path) -> None:
    model = model_of(*layers())
    artifact = export.export_model(model, tmp_path / "m.tflite", target="micro")
    calls = [{"x": row[np.newaxis]} for row in data(3)["x"]] * 2
    content = artifact.path.read_bytes()
    runs = [micro_runtime.run_lite(content, calls)]
    if micro_runtime.installed():
        runs.append(micro_runtime.run_micro(content, calls)[0])
    for results in runs:
        for call, got in zip(calls, results, strict=True):
            np.testing.assert_allclose(got["y"], model(call["x"]), rtol=1e-3, atol=2e-5)


def test_a_cell_beyond_ten_is_not_clipped(tmp_path: Path) -> None:
    """An LSTM that counts to 18 and back to 2; the converter's clipping at 10 would leave -6."""
    model = model_of(L.LSTM(1, name="counter"), time=34, features=1)
    kernel = np.array([[0.0, 0.0, 9.0, 0.0]])
    model.get_layer("counter").set_weights([kernel, np.zeros((1, 4)), np.array([12.0, 12.0, 0.0, 12.0])])
    x = np.repeat([1.0, -1.0], [18, 16]).astype("float32").reshape(1, 34, 1)
    artifact = export.export_model(model, tmp_path / "m.tflite", target="micro", calibration={"x": x})
    content = artifact.path.read_bytes()
    np.testing.assert_allclose(micro_runtime.run_lite(content, [{"x": x}])[0]["y"], model(x), atol=1e-4)
    if micro_runtime.installed():
        np.testing.assert_allclose(micro_runtime.run_micro(content, [{"x": x}])[0][0]["y"], model(x), atol=1e-4)


@pytest.mark.parametrize("size", [pytest.param(0.3, marks=pytest.mark.slow), 0.05])
def test_an_int8_lstm_of_small_values_is_right_in_both_runtimes(size: float, tmp_path: Path) -> None:
    """Its cell stays below 1/2, which LiteRT's kernel would otherwise answer with one number for all."""
    keras.utils.set_random_seed(1)
    x = keras.Input((12, 5), name="x")
    model = keras.Model(x, L.LSTM(8, name="lstm")(x))
    given = {"x": size * data()["x"]}
    artifact = export.export_model(model, tmp_path, target="micro", precision="int8", calibration=given)
    (output,) = artifact.report.outputs
    assert output.relative < 0.15
    assert output.cosine > 0.98


@pytest.mark.parametrize("precision", ["float32", "int16x8"])
def test_a_gru_goes_there_as_a_step_model(precision: str, tmp_path: Path) -> None:
    model = model_of(L.GRU(12, return_sequences=True, name="gru"), time=None)
    options = {} if precision == "float32" else {"calibration": data(8, 30)}
    artifact = export.export_model(
        model, tmp_path / "step.tflite", target="micro", streaming=True, precision=precision, **options
    )
    where = [case for case in artifact.report.cases if "odd chunks" in case]
    assert where
    assert export.verify(model, artifact).passed is (precision == "float32")  # integers are judged by real inputs only
    assert set(export.op_histogram(artifact.path)) <= MICRO_OPS
    header = (tmp_path / "step.h").read_text()
    inputs, outputs = micro_runtime.ports_of(artifact.path.read_bytes())
    (state,) = {port.name for port in inputs} & {port.name for port in outputs}
    places = [[port.name for port in ports].index(state) for ports in (inputs, outputs)]
    assert f"kStates[][2] = {{{{{places[0]}, {places[1]}}}}}" in header
    assert f"interpreter.input({1 - places[0]})" in (tmp_path / "main.cc").read_text()
    x = data(1, 30)["x"]
    got = export.Stream(artifact).feed(x=x)["y"]
    size = float(np.abs(model(x)).max())
    np.testing.assert_allclose(got, model(x), atol=(1e-5 if precision == "float32" else 0.05) * size)


@pytest.mark.parametrize(
    ("layers", "options", "text"),
    [
        (lambda: [L.GRU(3, name="gru")], {}, r"layer 'gru' is a GRU.*streaming=True, with precision='int16x8'"),
        (lambda: [L.LSTM(3, activation="relu", name="odd")], {}, r"layer 'odd' is an LSTM of relu and sigmoid"),
        (lambda: [L.Masking(), L.LSTM(3, name="rnn")], {}, r"layer 'rnn' is masked.*drop the mask"),
        (lambda: [L.Lambda(lambda x: keras.ops.sort(x, axis=1), name="sorted"), L.LSTM(3)], {}, r"layer 'sorted'"),
        (lambda: [L.LSTM(3)], {"precision": "float16"}, r"no float16.*int8 or float32"),
        (lambda: [L.LSTM(3)], {"precision": "int16x8", "calibration": {}}, r"int16x8 of the step model"),
        (lambda: [L.LSTM(3)], {"precision": "int8"}, r"needs calibration data"),
        (lambda: [L.LSTM(3)], {"target": "mikro"}, r"unknown target 'mikro'; did you mean 'micro'"),
        (lambda: [L.LSTM(3)], {"format": "onnx"}, r"runs tflite files, not onnx"),
    ],
)
def test_what_cannot_go_there_is_refused(layers: Any, options: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match=text):
        export.export_model(model_of(*layers()), tmp_path, **{"target": "micro", **options})
    assert not list(tmp_path.iterdir())


def test_a_type_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    x = keras.Input((4,), dtype="uint8", name="pixels")
    with pytest.raises(export.ExportError, match="'pixels' is uint8, which the micro runtime has not; use one of"):
        export.export_model(keras.Model(x, L.Dense(2)(L.Rescaling(1 / 255)(x))), tmp_path, target="micro")


def test_token_ids_go_there(tmp_path: Path) -> None:
    """Those from the end too: Keras counts negative ones by a SELECT, which the runtime lacks."""
    x = keras.Input((6,), dtype="int32", name="ids")
    model = randomise(keras.Model(x, L.Dense(2, name="y")(L.LSTM(4)(L.Embedding(9, 4)(x)))))
    ids = np.array([[0, 8, -1, -9, 3, 4]], "int32")
    options: dict[str, Any] = {"target": "micro", "calibration": {"ids": ids}}
    artifact = export.export_model(model, tmp_path, **options)
    assert set(export.op_histogram(artifact.path)) <= MICRO_OPS
    assert "data, part 1" in artifact.report.cases


def test_an_open_length_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match=r"'x' has the shape \(1, None, 5\).*pass time="):
        export.export_model(model_of(L.LSTM(3), time=None), tmp_path, target="micro")


def test_integers_are_judged_and_run_as_the_models_numbers(tmp_path: Path) -> None:
    model = model_of(L.LSTM(8, return_sequences=True))
    options: dict[str, Any] = {"precision": "int8", "calibration": data()}
    artifact = export.export_model(model, tmp_path, target="micro", **options)
    report = export.verify(model, artifact, data=data(5))
    report.raise_for_failure()
    assert 0 < report.outputs[0].relative < 0.2
    x = data(1)["x"]
    np.testing.assert_array_equal(
        export.load_runtime(artifact.path)({"x": x})["y"],
        micro_runtime.run_lite(artifact.path.read_bytes(), [{"x": x}])[0]["y"],
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("os.kill(os.getpid(), 9)", r"signal 9 \(SIGKILL"),
        ("os.kill(os.getpid(), 11)", r"signal 11 \(SIGSEGV: it crashed\)"),
        ("time.sleep(60)", "took more than 1 seconds"),
        ("sys.exit(3)", "exit code 3"),
    ],
)
def test_every_end_of_the_interpreter_is_a_typed_error(
    code: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in a child process, of which nothing is left."""
    (tmp_path / "worker.py").write_text(f"import os, sys, time\n{code}\n")
    (tmp_path / "rooms").mkdir()
    monkeypatch.setattr(micro_runtime, "WORKER", tmp_path / "worker.py")
    monkeypatch.setattr(micro_runtime, "_TIMEOUT", 1.0 if "sleep" in code else 60.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "rooms"))
    empty = schema.ModelT()
    empty.subgraphs = [schema.SubGraphT()]
    empty.subgraphs[0].inputs, empty.subgraphs[0].outputs = [], []
    builder = flatbuffers.Builder(64)
    builder.Finish(empty.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(export.ArtifactError, match=text) as caught:
        micro_runtime.run_micro(bytes(builder.Output()), [{}])
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "rooms").iterdir())


@needs_runtime
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_the_interpreter_ends_with_its_parent(tmp_path: Path) -> None:
    """Its standard input ends, as when the parent is killed, while it waits for a request that never comes."""
    os.mkfifo(tmp_path / "request.json")
    command = [sys.executable, "-P", str(micro_runtime.WORKER), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        try:
            assert child.poll() is None
            child.stdin.close()
            assert child.wait(60) != 0
        finally:
            child.kill()


@needs_runtime
def test_a_file_that_the_runtime_cannot_run_is_a_typed_error(tmp_path: Path) -> None:
    model = model_of(L.Lambda(lambda x: keras.ops.sort(x, axis=1)))
    whole = export.export_model(model, tmp_path / "m.tflite", batch=1)
    with pytest.raises(export.ArtifactError, match="micro interpreter cannot run"):
        micro_runtime.run_micro(whole.path.read_bytes(), [data(1)])


def _entry(path: Path) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((path.parent / "manifest.json").read_text())["artifacts"][path.name]
    return entry
