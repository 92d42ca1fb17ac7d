"""Our LiteRT files against those of tf_keras (Keras 2), in one run: `python -m benchmarks.tflite_speed`.

Needs tf_keras 2.21 beside seqzoo. Prints the table of docs/benchmarks.md.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

from benchmarks.interleaved import medians, table
from export import export_model

FEATURES = 16


def invoke(content: bytes, x: np.ndarray) -> Callable[[], None]:
    """A call of the interpreter with its input in place."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    details = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(details["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], x)
    return interpreter.invoke


def rows(folder: Path) -> list[list[object]]:
    """LSTM and GRU, batch 1."""
    found: list[list[object]] = []
    for kind in ("LSTM", "GRU"):
        for units in (64, 256):
            for sequences in (False, True):
                inputs = keras.Input((None, FEATURES))
                layer = getattr(keras.layers, kind)(units, return_sequences=sequences)
                model = keras.Model(inputs, layer(inputs))
                content = export_model(model, folder / "ours.tflite").path.read_bytes()
                for time in (50, 200, 1000):
                    x = np.random.default_rng(0).normal(size=(1, time, FEATURES)).astype("float32")
                    theirs = tf_keras_file(kind, units, sequences, time, model.get_weights())
                    us = medians({"ours": invoke(content, x), "tf_keras": invoke(theirs, x)}, repeats=9)
                    form = f"{kind}-{units}, {'sequences' if sequences else 'last'}"
                    ratio = us["ours"] / us["tf_keras"]
                    found.append([form, time, f"{us['ours']:.0f}", f"{us['tf_keras']:.0f}", f"{ratio:.2f}"])
    return found


def tf_keras_file(kind: str, units: int, sequences: bool, time: int, weights: list[np.ndarray]) -> bytes:
    """The same layer through tf_keras, which wants a static shape."""
    inputs = tf_keras.Input((time, FEATURES), batch_size=1)
    model = tf_keras.Model(inputs, getattr(tf_keras.layers, kind)(units, return_sequences=sequences)(inputs))
    model.set_weights(weights)
    content: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return content


def growth(folder: Path) -> list[list[object]]:
    """How the time grows from 1,000 to 4,000 steps."""
    found: list[list[object]] = []
    for kind in ("LSTM", "GRU"):
        inputs = keras.Input((None, FEATURES))
        model = keras.Model(inputs, getattr(keras.layers, kind)(64, return_sequences=True)(inputs))
        content = export_model(model, folder / "ours.tflite").path.read_bytes()
        calls = {str(time): invoke(content, np.ones((1, time, FEATURES), "float32")) for time in (1000, 4000)}
        us = medians(calls, repeats=9)
        found.append([f"{kind}-64", f"{us['1000']:.0f}", f"{us['4000']:.0f}", f"{us['4000'] / us['1000']:.2f}"])
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as room:
        print(table(["model, batch 1", "steps", "ours, us", "tf_keras, us", "ours / tf_keras"], rows(Path(room))))
        print()
        print(table(["model, sequences", "1,000 steps, us", "4,000 steps, us", "ratio"], growth(Path(room))))
