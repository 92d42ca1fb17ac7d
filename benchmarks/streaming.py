"""One step of a stream: our files against NumPy and a stateful Keras layer: `python -m benchmarks.streaming`.

Prints the table of docs/benchmarks.md. The NumPy row does the matrix products of a step and nothing else: no bias, no
gate. Keras's row is the same layer with stateful=True in a tf.function.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from benchmarks.interleaved import medians, table
from export import export_model

CELLS = ("LSTM", "GRU")
FORMATS = ("tflite", "onnx")


def litert(content: bytes) -> Callable[[], None]:
    """A plain invoke, which runs the step."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter.invoke


def onnx(content: bytes, x: np.ndarray, units: int) -> Callable[[], None]:
    """A run with inputs and outputs bound beforehand, states written over one another's places in turns."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for value in session.get_inputs():
        array = x if value.name == "x" else np.zeros((1, units), np.float32)
        binding.bind_ortvalue_input(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    for value in session.get_outputs():
        shape = (1, units) if value.name.endswith("_out") else (1, 1, units)
        binding.bind_ortvalue_output(value.name, onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32))
    return lambda: session.run_with_iobinding(binding)


def products(weights: list[np.ndarray], x: np.ndarray, units: int) -> Callable[[], None]:
    """The matrix products of one step in NumPy."""
    kernel, recurrent = weights[:2]
    h = np.zeros((1, units), np.float32)
    a, b = np.empty((1, kernel.shape[1]), np.float32), np.empty((1, recurrent.shape[1]), np.float32)

    def step() -> None:
        np.matmul(x[0], kernel, out=a)
        np.matmul(h, recurrent, out=b)

    return step


def stateful(kind: str, units: int, weights: list[np.ndarray], x: np.ndarray) -> Callable[[], object]:
    """Keras's own way to keep a state."""
    inputs = keras.Input(batch_shape=(1, 1, units))
    model = keras.Model(inputs, getattr(keras.layers, kind)(units, return_sequences=True, stateful=True)(inputs))
    model.set_weights(weights)
    call, tensor = tf.function(model), tf.constant(x)
    return lambda: call(tensor, training=False)


def rows(folder: Path) -> list[list[object]]:
    """LSTM and GRU; as many features as units."""
    found: list[list[object]] = []
    for kind in CELLS:
        for units in (64, 256):
            inputs = keras.Input((None, units), name="x")
            model = keras.Model(inputs, getattr(keras.layers, kind)(units, return_sequences=True)(inputs))
            files = {f: export_model(model, folder, f, streaming=True, verify=False).path.read_bytes() for f in FORMATS}
            x = np.random.default_rng(0).normal(size=(1, 1, units)).astype("float32")
            weights = model.get_weights()
            us = medians(
                {
                    "numpy": products(weights, x, units),
                    "litert": litert(files["tflite"]),
                    "onnx": onnx(files["onnx"], x, units),
                    "keras": stateful(kind, units, weights, x),
                }
            )
            times = [f"{us[name]:.1f}" for name in ("numpy", "litert", "onnx", "keras")]
            ratios = [us["litert"] / us["numpy"], us["onnx"] / us["numpy"], us["keras"] / us["litert"]]
            found.append([f"{kind}-{units}", *times, *(f"{ratio:.2f}" for ratio in ratios)])
    return found


def main() -> None:
    """Prints the table."""
    columns = ["step of one layer", "NumPy products, us", "LiteRT, us", "ONNX, us", "Keras stateful, us"]
    with tempfile.TemporaryDirectory() as folder:
        print(table([*columns, "LiteRT / NumPy", "ONNX / NumPy", "Keras / LiteRT"], rows(Path(folder))))


if __name__ == "__main__":
    main()
