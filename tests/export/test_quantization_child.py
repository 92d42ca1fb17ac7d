"""Whatever becomes of a calibration, the caller gets a typed error and goes on; nothing is left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
from export import quantization_child, tflite
from export.quantization_child import calibrate_in_child
from export.trace import trace
from tests.export.random_models import randomise
from tests.export.test_quantization import convolutional, inputs

L = keras.layers
ENDS = {
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", r"signal 9 \(SIGKILL, as by the system where memory runs out\)"),
    "crash": ("os.kill(os.getpid(), signal.SIGSEGV)", r"signal 11 \(SIGSEGV: it crashed\)"),
    "abort": ("os.abort()", r"signal 6 \(SIGABRT"),
    "hang": ("time.sleep(60)", r"stopped: it took more than 1 seconds"),
    "refusal": ("(room / 'reason.txt').write_text('op X is not known'); sys.exit(1)", r"failed: op X is not known"),
    "silence": ("sys.exit(3)", r"exit code 3"),
    "mlir": ("print('loc: error: no X', file=sys.stderr); (room / 'reason.txt').write_text('E'); sys.exit(1)", "no X"),
    "half": ("(room / 'part').write_bytes(b'half'); sys.exit(0)", r"exit code 0"),
}  # fmt: skip


def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Puts a few lines in the calibration's place."""
    script = tmp_path / "worker.py"
    script.write_text(f"import os, signal, sys, time\nfrom pathlib import Path\nroom = Path(sys.argv[1])\n{code}\n")
    monkeypatch.setattr(quantization_child, "WORKER", script)


@pytest.mark.parametrize("end", ENDS)
def test_every_end_of_the_child_is_a_typed_error(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = ENDS[end]
    worker(tmp_path, monkeypatch, code)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "rooms"))
    (tmp_path / "rooms").mkdir()
    with pytest.raises(export.QuantizationError, match=text) as caught:
        calibrate_in_child("tflite", b"", "int8_full", [], timeout=1.0 if end == "hang" else 30.0)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "rooms").iterdir()) == []


def test_a_killed_calibration_leaves_the_old_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, folder = convolutional(), tmp_path / "out"
    path = export.export_model(model, folder / "m.tflite").path
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    worker(tmp_path, monkeypatch, ENDS["kill"][0])
    with pytest.raises(export.QuantizationError, match="signal 9"):
        export.export_model(model, path, precision="int8_full", calibration=inputs(model))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.parametrize("end", ["kill", "crash", "abort"])
@pytest.mark.parametrize(
    "options",
    [
        {"format": "onnx", "precision": "int8_full"},
        {"format": "tflite", "precision": "int16x8"},
        {"target": "micro", "precision": "int8", "time": 16},
        {"format": "tflite", "precision": "int16x8", "streaming": True},
    ],
    ids=["onnx", "tflite", "micro", "step"],
)
def test_a_calibration_that_dies_is_survived_in_every_format(
    options: dict[str, Any], end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(tmp_path, monkeypatch, ENDS[end][0])
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, L.Conv1D(2, 2, padding="causal", name="y")(x))
    data = {"x": np.random.default_rng(0).normal(size=(8, 16, 3)).astype("float32")}
    with pytest.raises(export.QuantizationError, match="calibration failed: the tool was ended by signal"):
        export.export_model(model, tmp_path / "out", calibration=data, **options)
    assert not list((tmp_path / "out").iterdir())


def _raw_loop() -> tuple[bytes, list[Any]]:
    """A whole-sequence GRU as the converter writes it, and data for it."""
    x = keras.Input((None, 16), name="x")
    model = randomise(keras.Model(x, L.GRU(32, return_sequences=True)(x)))
    traced = trace(model, tflite.lowering())
    holder = tf.Module()
    holder.variables_of_model = [variable.value for variable in model.variables]
    content = tflite.run_converter(tf.lite.TFLiteConverter.from_concrete_functions([traced.function], holder))
    rng = np.random.default_rng(0)
    return content, [("serving_default", {"x": rng.normal(size=(1, 20, 16)).astype("float32")}) for _ in range(5)]


def test_a_model_on_which_the_calibrator_crashes() -> None:
    """A loop ends the process that calibrates it (signal 11): here it is the child."""
    content, feeds = _raw_loop()
    with pytest.raises(export.QuantizationError, match="int8_full calibration failed"):
        calibrate_in_child("tflite", content, "int8_full", feeds)


def test_a_file_that_is_none() -> None:
    with pytest.raises(export.QuantizationError, match=r"int16x8 calibration failed: .*model"):
        calibrate_in_child("tflite", b"no model", "int16x8", [])


def test_no_room_for_the_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(export.QuantizationError, match=r"cannot calibrate in '.*gone': No such file"):
        calibrate_in_child("tflite", b"", "int8_full", [])


_PARENT = """
import sys
from pathlib import Path
from export import quantization_child
if sys.argv[1] != "real":
    quantization_child.WORKER = Path(sys.argv[1])
feeds = [("s", {})]
try:
    quantization_child.calibrate_in_child("tflite", b"x", "int8_full", feeds)
finally:
    print("left", flush=True)
"""


def _parent(worker: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PARENT, worker], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _child_of(parent: subprocess.Popen[str]) -> int:
    tasks = Path(f"/proc/{parent.pid}/task")
    for _ in range(600):
        for task in tasks.iterdir():
            if children := (task / "children").read_text().split():
                return int(children[0])
        time.sleep(0.05)
    raise AssertionError("no child was started")


def _gone(pid: int) -> bool:
    for _ in range(400):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")


@needs_proc
def test_ctrl_c_ends_the_child_too(tmp_path: Path) -> None:
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text(
        textwrap.dedent("import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)")
    )
    parent = _parent(str(sleeper))
    child = _child_of(parent)
    time.sleep(0.3)
    parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=20)[0] == "left\n"
    assert parent.returncode != 0
    assert _gone(child)


@needs_proc
def test_the_child_does_not_outlive_a_killed_parent() -> None:
    parent = _parent("real")
    child = _child_of(parent)
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    assert _gone(child)
