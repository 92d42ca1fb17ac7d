"""Greedy decoding in one file against the same loop as a tf.function: `python -m benchmarks.generation`.

Prints the tables of docs/benchmarks.md. Both columns run the generator of `zoo.generation` at batch 1, to the last of
its tokens; the tf.function is the Keras model itself, traced once for this shape.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import zoo
from benchmarks.interleaved import medians, table
from export import export_model
from zoo.generation import generator

MODELS = {
    "language model, LSTM-64": (
        "language_model",
        {"vocabulary": 64, "embedding": 32, "units": (64,)},
        None,
        30,
    ),
    "language model, GRU-64": (
        "language_model",
        {"vocabulary": 64, "embedding": 32, "units": (64,), "cell": "gru"},
        None,
        30,
    ),
    "language model, LSTM-64, vocabulary 30": (
        "language_model",
        {"vocabulary": 30, "embedding": 32, "units": (64,)},
        None,
        100,
    ),
    "language model, LSTM-256, vocabulary 1,000": (
        "language_model",
        {"vocabulary": 1000, "embedding": 128, "units": (256,)},
        None,
        50,
    ),
    "captioner, LSTM-64": (
        "image_captioner",
        {"height": 8, "width": 8, "channels": 3, "filters": (8,), "vocabulary": 64, "units": (64,), "embedding": 32},
        1,
        30,
    ),
    "encoder-decoder, 48": (
        "encoder_decoder",
        {
            "source_vocabulary": 30,
            "target_vocabulary": 30,
            "embedding": 24,
            "encoder_units": (48,),
            "decoder_units": (48,),
        },
        1,
        30,
    ),
    "with attention, 48": (
        "attention_encoder_decoder",
        {
            "source_vocabulary": 30,
            "target_vocabulary": 30,
            "embedding": 24,
            "encoder_units": (24,),
            "decoder_units": (48,),
        },
        1,
        30,
    ),
}


def inputs_of(model: keras.Model) -> dict[str, np.ndarray]:
    """One row: a prompt of 2 tokens, a source of 12, a picture."""
    rng = np.random.default_rng(0)
    arrays = {}
    for tensor in model.inputs:
        if "int" in tensor.dtype:
            arrays[tensor.name] = rng.integers(3, 30, (1, 12 if tensor.name == "encoder_token_ids" else 2), "int32")
        else:
            arrays[tensor.name] = rng.normal(size=(1, *tensor.shape[1:])).astype("float32")
    return arrays


def litert(path: Path, inputs: dict[str, np.ndarray]) -> Callable[[], object]:
    """A plain invoke."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    details = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    for name, array in inputs.items():
        interpreter.resize_tensor_input(details[name], array.shape)
    interpreter.allocate_tensors()
    for name, array in inputs.items():
        interpreter.set_tensor(details[name], array)
    return interpreter.invoke


def onnx(path: Path, inputs: dict[str, np.ndarray]) -> Callable[[], object]:
    """A run in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)


def row(name: str, folder: Path) -> list[object]:
    """One model's times."""
    builder, fields, start, length = MODELS[name]
    keras.utils.set_random_seed(0)
    model = generator(zoo.create_model(builder, **fields), max_length=length, start_id=start)
    inputs = inputs_of(model)
    tensors = {key: tf.constant(array) for key, array in inputs.items()}
    function = tf.function(lambda given: model(given), autograph=False)
    files = {format: export_model(model, folder / format, format=format).path for format in ("tflite", "onnx")}
    calls: dict[str, Callable[[], object]] = {
        "keras": lambda: function(tensors)["generated_ids"].numpy(),
        "tflite": litert(files["tflite"], inputs),
        "onnx": onnx(files["onnx"], inputs),
    }
    # TensorFlow works in threads of its own: the whole process's time.
    times = medians(calls, clock=time.process_time)
    ratios = [f"{times['keras'] / times[format]:.1f}" for format in files]
    return [name, length, *(round(times[key]) for key in calls), *ratios]


def main() -> None:
    """Prints the table."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(name, Path(folder) / str(i)) for i, name in enumerate(MODELS)]
    columns = ["model, greedy", "tokens written", "tf.function, us", "LiteRT, us", "ONNX, us"]
    print(table([*columns, "LiteRT faster", "ONNX faster"], rows))


if __name__ == "__main__":
    main()
