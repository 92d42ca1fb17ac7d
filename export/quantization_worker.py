"""The child process in which calibration runs: `python -P quantization_worker.py FOLDER`.

LiteRT's calibrator ends the whole process on some models (signal 11), and calibration may take all memory. This file is
run by its path and imports nothing of seqzoo, so that it starts in any environment that has the makers' tools.
The folder holds `request.json`, `model` and `feeds.npz`; it gets `result`, or `reason.txt`.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Feeds = list[tuple[str, dict[str, np.ndarray]]]


def main(folder: Path) -> int:
    """Does what the request says; the exit code is 0 where `result` is whole."""
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    try:
        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        result = _MAKERS[request["kind"]]((folder / "model").read_bytes(), _feeds(folder, request), request, folder)
    except Exception as error:  # the tools raise bare RuntimeError, ValueError, KeyError ...
        (folder / "reason.txt").write_text(str(error) or type(error).__name__, encoding="utf-8")
        return 1
    (folder / "part").write_bytes(result)
    os.replace(folder / "part", folder / "result")
    return 0


def _die_with_the_parent() -> None:
    os.read(0, 1)  # standard input: nothing is ever written, the pipe ends when the parent does
    os._exit(1)


def _feeds(folder: Path, request: dict[str, Any]) -> Feeds:
    arrays = np.load(folder / "feeds.npz", allow_pickle=False)
    return [
        (signature, {name: arrays[f"{index}.{place}"] for place, name in enumerate(names)})
        for index, (signature, names) in enumerate(request["feeds"])
    ]


def _tflite(content: bytes, feeds: Feeds, request: dict[str, Any], folder: Path) -> bytes:
    """What TFLiteConverter does with a representative dataset, on a file that is converted already."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize import calibrator

    def representative() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        yield from feeds

    tool = calibrator.Calibrator(calibrator.add_intermediate_tensors(content))
    if request["precision"] == "int8_full":
        ports = tf.int8 if request["integer_ports"] else tf.float32
        result = mlir_quantize(tool.calibrate(representative), input_data_type=ports, output_data_type=ports)
    else:
        ports = tf.int16 if request["integer_ports"] else tf.float32
        result = tool.calibrate_and_quantize(
            representative, ports, ports, True, activations_type=tf.int16, bias_type=tf.int64
        )
    _try(result, {} if request["integer_ports"] else dict(reversed(feeds)))
    return bytes(result)


def _try(content: bytes, feeds: dict[str, dict[str, np.ndarray]]) -> None:
    """Runs the new file once for each signature: a kernel that is missing, or that crashes, shows here."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for signature, feed in feeds.items():
        interpreter.get_signature_runner(signature)(**feed)


def _onnx(content: bytes, feeds: Feeds, request: dict[str, Any], folder: Path) -> bytes:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no type information
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next((feed for _, feed in self._feeds), None)

    quantize_static(
        onnx.load_from_string(content),
        str(folder / "quantized.onnx"),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return (folder / "quantized.onnx").read_bytes()


_MAKERS = {"tflite": _tflite, "onnx": _onnx}

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
