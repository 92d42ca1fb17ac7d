"""ONNX files in fewer bits.

`int8`: onnxruntime's quantize_dynamic makes the LSTM integer; every other weight is stored in 8 bits and unpacked by
Cast and Mul, the biases of recurrent layers in 16 bits. `float16` stores weights in 16 bits and unpacks them by Cast.
onnxruntime computes all this once, when it loads the file, so it costs nothing afterwards. (DequantizeLinear it would
compute at each call, or fuse with what follows, unless the session is told otherwise: 1.3-1.5 times the time.)
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.errors import QuantizationError, first_line
from export.onnx import strip_names
from export.onnx_loops import bodies
from export.quantization_child import TIMEOUT, Feed, calibrate_in_child

# Which axis of a weight holds the outputs, each of which gets its own scale; elsewhere the last.
_OUTPUT_AXIS = {"LSTM": 1, "GRU": 1, "RNN": 1, "Conv": 0}
_RECURRENT = ("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM")
_OVERHEAD = 120  # bytes of the nodes and names that unpack a weight: what saves no more stays float32
_LEAST_LSTM = 128  # values; a smaller LSTM becomes larger by its scales, zero points and names
_LARGEST_HALF = 65504.0


def quantize_onnx(content: bytes, precision: str, feeds: Sequence[Feed] = (), *, timeout: float = TIMEOUT) -> bytes:
    """A float32 ONNX file in another precision; inputs, outputs and states stay float32.

    Args:
        content: The file.
        precision: `float16`, `int8` or `int8_full`.
        feeds: Calibration data, for `int8_full`.
        timeout: Seconds to wait for the calibration.

    Raises:
        QuantizationError: A tool failed; says why.
    """
    if precision == "int8_full":
        content = calibrate_in_child("onnx", content, precision, feeds, timeout=timeout)
    try:
        model = onnx.load_from_string(content)
        if precision == "int8":
            model = _dynamic_lstm(model)
        _pack(model.graph, half=precision == "float16")
        strip_names(model.graph)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # onnxruntime's tools and onnx raise bare ValueError, RuntimeError, KeyError ...
        raise QuantizationError(f"onnxruntime cannot quantize the model to {precision}: {first_line(error)}") from error
    return bytes(model.SerializeToString())


def _dynamic_lstm(model: onnx.ModelProto) -> onnx.ModelProto:
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    large = []
    for number, node in enumerate(node for node in model.graph.node if node.op_type == "LSTM"):
        node.name = f"lstm_{number}"  # the tool chooses by name
        if sum(sizes.get(name, 0) for name in node.input[1:3]) >= _LEAST_LSTM:
            large.append(node.name)
    if not large:
        return model
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="seqzoo-") as room, _quiet():
        path = Path(room) / "dynamic.onnx"
        quantize_dynamic(
            model,
            str(path),
            op_types_to_quantize=["LSTM"],
            nodes_to_quantize=large,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        made = onnx.load(str(path))
    kept = [entry for entry in made.metadata_props if entry.key != "onnx.infer"]  # the tool's word for itself
    del made.metadata_props[:]
    made.metadata_props.extend(kept)
    return made


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The tool advises a preparation, by the root logger, which changes nothing for an LSTM."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)


def _pack(graph: onnx.GraphProto, *, half: bool) -> None:
    """Stores the weights of a graph, and of the bodies of its loops, in fewer bits."""
    _constants_to_initializers(graph)
    axes, nodes = _output_axes(graph), []
    biases = {name for node in graph.node if node.op_type in _RECURRENT for name in node.input[3:4]}
    for tensor in list(graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        packed = _as_half(tensor) if half or tensor.name in biases else _as_int8(tensor, axes.get(tensor.name))
        if packed is None:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.extend(packed[0])
        nodes += packed[1]
    for place, node in enumerate(nodes):
        graph.node.insert(place, node)
    for node in graph.node:
        for body in bodies(node):
            _pack(body, half=half)


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if value is not None and value.data_type == onnx.TensorProto.FLOAT and len(value.dims) > 1:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _output_axes(graph: onnx.GraphProto) -> dict[str, int]:
    axes = {}
    for node in graph.node:
        transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
        for name in node.input[1:]:
            if transposed or node.op_type in _OUTPUT_AXIS:
                axes[name] = 0 if transposed else _OUTPUT_AXIS[node.op_type]
    return axes


Packed = tuple[list[onnx.TensorProto], list[onnx.NodeProto]]


def _as_half(tensor: onnx.TensorProto) -> Packed | None:
    array = numpy_helper.to_array(tensor)
    if array.nbytes // 2 <= _OVERHEAD or np.abs(array).max() > _LARGEST_HALF:
        return None
    stored = f"{tensor.name}/half"
    unpack = helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT)
    return [numpy_helper.from_array(array.astype(np.float16), stored)], [unpack]


def _as_int8(tensor: onnx.TensorProto, axis: int | None) -> Packed | None:
    array = numpy_helper.to_array(tensor)
    if array.ndim < 2 or not np.isfinite(array).all():
        return None
    axis = array.ndim - 1 if axis is None else axis
    if array.nbytes - array.size - 4 * array.shape[axis] <= _OVERHEAD:
        return None
    largest = np.abs(array).max(axis=tuple(i for i in range(array.ndim) if i != axis), keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    integers = np.rint(array / scale).astype(np.int8)  # symmetric: between -127 and 127
    name = tensor.name
    unpack = [
        helper.make_node("Cast", [f"{name}/int8"], [f"{name}/float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}/float", f"{name}/scale"], [name]),
    ]
    stored = [numpy_helper.from_array(integers, f"{name}/int8"), numpy_helper.from_array(scale, f"{name}/scale")]
    return stored, unpack
