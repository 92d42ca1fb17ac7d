"""Our files in fewer bits against our float32 ones, in one run: `python -m benchmarks.quantized`.

Prints the tables of docs/benchmarks.md.
"""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

from benchmarks.interleaved import medians, table
from export import export_model

FEATURES, STEPS = 16, 50
PRECISIONS = ("float32", "float16", "int8")
Run = Callable[[], object]


def model(kind: str, units: int) -> keras.Model:
    """A recurrent layer and a head, weights as Keras initialises them."""
    keras.utils.set_random_seed(0)
    x = keras.Input((None, FEATURES), name="x")
    return keras.Model(x, keras.layers.Dense(10)(getattr(keras.layers, kind)(units)(x)))


def tflite(path: Path, x: np.ndarray) -> tuple[Run, np.ndarray]:
    """-> (a plain invoke, its output)."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return interpreter.invoke, interpreter.get_tensor(made["index"])


def onnx(path: Path, x: np.ndarray) -> tuple[Run, np.ndarray]:
    """-> (a call of a session, its output)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    run = functools.partial(session.run, None, {"x": x})
    return run, run()[0]


def rows(folder: Path) -> list[list[object]]:
    """LSTM and GRU, batch 1: size, time and error against float32."""
    x = np.random.default_rng(0).normal(size=(1, STEPS, FEATURES)).astype("float32")
    found: list[list[object]] = []
    for load, name in ((tflite, "LiteRT"), (onnx, "ONNX")):
        for kind in ("LSTM", "GRU"):
            for units in (64, 256):
                source, runs, sizes, outputs = model(kind, units), {}, {}, {}
                for precision in PRECISIONS:
                    path = folder / f"{precision}.{load.__name__}"
                    sizes[precision] = export_model(source, path, precision=precision).bytes
                    runs[precision], outputs[precision] = load(path, x)
                us = medians(runs)
                want = outputs["float32"]
                for precision in PRECISIONS[1:]:
                    error = np.linalg.norm(outputs[precision] - want) / np.linalg.norm(want)
                    size, time = (f"{of[precision] / of['float32']:.2f}" for of in (sizes, us))
                    found.append([f"{name}, {kind}-{units}", precision, sizes[precision], size, time, f"{error:.1e}"])
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as room:
        columns = [f"model, batch 1, {STEPS} steps", "precision", "bytes", "size ratio", "time ratio", "relative error"]
        print(table(columns, rows(Path(room))))
