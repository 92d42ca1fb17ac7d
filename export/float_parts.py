"""What an artifact of fewer bits leaves in float32, read from its own tensors; and which precision it says it has."""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export import metadata
from export.formats import format_of

if TYPE_CHECKING:
    import keras

# Ops that move values, or make shapes and constants: no arithmetic to be left in float.
_TFLITE_MOVES = """
BROADCAST_TO CAST CONCATENATION DEQUANTIZE DYNAMIC_UPDATE_SLICE EXPAND_DIMS FILL GATHER GATHER_ND IF PACK PAD PADV2
QUANTIZE RANGE RESHAPE REVERSE_V2 SELECT SELECT_V2 SHAPE SLICE SPLIT SPLIT_V SQUEEZE STRIDED_SLICE TILE TRANSPOSE UNPACK
WHILE ZEROS_LIKE
"""
_ONNX_MOVES = """
Cast Concat Constant ConstantOfShape DequantizeLinear Expand Flatten Gather GatherElements GatherND Identity If Loop Pad
QuantizeLinear Range Reshape ReverseSequence ScatterElements ScatterND Shape Size Slice Split Squeeze Tile Transpose
Unsqueeze Where
"""
_MOVES = {"tflite": frozenset(_TFLITE_MOVES.split()), "onnx": frozenset(_ONNX_MOVES.split())}
# ONNX operators whose own arithmetic is integer.
_INTEGER_ONNX = {"DynamicQuantizeLSTM"}


@dataclasses.dataclass(frozen=True)
class FloatPart:
    """One kind of op that computes in float32, or holds weights in it.

    Attributes:
        op: Its name in the file.
        count: How many of them.
        weight_bytes: Size of the float32 weights that they hold, those that several share counted once; biases do not
            count, they stay float32 everywhere.
        layers: The Keras layers whose weights these are.
    """

    op: str
    count: int
    weight_bytes: int
    layers: tuple[str, ...] = ()

    def __str__(self) -> str:
        of = f" of {', '.join(self.layers)}" if self.layers else ""
        held = f" ({self.weight_bytes} bytes of weights{of})" if self.weight_bytes else ""
        return f"{self.count} x {self.op}{held}"


@dataclasses.dataclass(frozen=True)
class _Op:
    name: str
    weights: tuple[np.ndarray, ...]  # its float32 constants of two axes or more
    computes: bool  # in float32


def precision_of(path: Path) -> str:
    """The precision that an artifact's own metadata tell; float32 where they tell nothing."""
    return str(metadata.parse(_METADATA[format_of(path).name](path)).get("precision", "float32"))


def float_parts(path: Path, model: "keras.Model | None" = None) -> list[FloatPart]:
    """What of an artifact is in float32, the largest weights first.

    Args:
        path: A `.tflite` or `.onnx` file; a SavedModel is float32 throughout, and has no list. Of a float16 file, in
            which all arithmetic is float32, only weights are listed.
        model: Names the layers.
    """
    arithmetic = precision_of(path) != "float16"
    reader = _READERS.get(format_of(path).name)
    if reader is None:
        return []
    layers = _layers_by_values(model) if model is not None else {}
    groups: dict[str, list[_Op]] = collections.defaultdict(list)
    for op in reader(path):
        if (op.computes and arithmetic) or op.weights:
            groups[op.name].append(op)
    parts = [
        FloatPart(
            op=name,
            count=len(ops),
            weight_bytes=sum(map(len, {array.tobytes() for op in ops for array in op.weights})),
            layers=tuple(dict.fromkeys(layers[key] for op in ops for w in op.weights if (key := _key(w)) in layers)),
        )
        for name, ops in groups.items()
    ]
    return sorted(parts, key=lambda part: (-part.weight_bytes, part.op))


def _layers_by_values(model: "keras.Model") -> dict[bytes, str]:
    """A weight's values, in whatever order a format keeps them -> its layer."""
    return {
        _key(np.asarray(variable, np.float32)): variable.path.rpartition("/")[0]
        for variable in model.weights
        if len(variable.shape) > 1
    }


def _key(array: np.ndarray) -> bytes:
    return np.sort(array, axis=None).tobytes()


def _tflite_ops(path: Path) -> Iterator[_Op]:
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(bytearray(path.read_bytes()), 0)
    float32, integers = schema.TensorType.FLOAT32, (schema.TensorType.INT8, schema.TensorType.INT16)
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            operands = [graph.tensors[i] for i in operator.inputs if i >= 0]
            constants = [t for t in operands if model.buffers[t.buffer].data is not None and t.shape is not None]
            weights = tuple(
                np.asarray(model.buffers[t.buffer].data, np.uint8).view(np.float32)
                for t in constants
                if t.type == float32 and len(t.shape) > 1
            )
            hybrid = any(t.type in integers for t in constants)
            in_float = any(graph.tensors[i].type == float32 for i in operator.outputs)
            yield _Op(name, weights, in_float and not hybrid and name not in _MOVES["tflite"])


def _onnx_ops(path: Path) -> Iterator[_Op]:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    yield from _onnx_graph(onnx.shape_inference.infer_shapes(model).graph, {})


def _onnx_graph(graph: Any, outer: dict[str, np.ndarray]) -> Iterator[_Op]:
    import onnx

    constants = outer | {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    types = {v.name: v.type.tensor_type.elem_type for v in [*graph.value_info, *graph.input, *graph.output]}
    makers = {name: node.op_type for node in graph.node for name in node.output}
    unpacked = set()  # weights that are stored in fewer bits, on their way to float32
    for node in graph.node:
        bodies = [body for a in node.attribute for body in [a.g, *a.graphs] if body.node]
        for body in bodies:
            yield from _onnx_graph(body, constants)
        if node.op_type in ("Cast", "Mul") and all(i in constants or i in unpacked for i in node.input):
            unpacked.update(node.output)
            continue
        weights = tuple(
            constants[name]
            for name in node.input
            if name in constants and constants[name].dtype == np.float32 and constants[name].ndim > 1
        )
        if node.op_type in ("LSTM", "GRU", "RNN"):
            weights = tuple(w for w in weights if w.ndim > 2)  # their bias has an axis of directions
        moving = [name for name in node.input if name and name not in constants]
        integer = node.op_type in _INTEGER_ONNX or (
            bool(moving) and all(makers.get(name) == "DequantizeLinear" for name in moving)
        )
        # Behind a DynamicQuantizeLSTM, which onnx does not know, types are unknown.
        in_float = any(types.get(name, onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT for name in node.output)
        if node.op_type in _INTEGER_ONNX:
            weights = ()
        yield _Op(node.op_type, weights, in_float and not integer and node.op_type not in _MOVES["onnx"])


_READERS: dict[str, Callable[[Path], Iterator[_Op]]] = {"tflite": _tflite_ops, "onnx": _onnx_ops}


def _onnx_metadata(path: Path) -> str | None:
    import onnx

    properties = onnx.load(str(path), load_external_data=False).metadata_props
    return next((entry.value for entry in properties if entry.key == metadata.KEY), None)


_METADATA: dict[str, Callable[[Path], str | None]] = {
    "tflite": lambda path: metadata.of_tflite(path.read_bytes()),
    "onnx": _onnx_metadata,
    "saved_model": metadata.of_saved_model,
}


def left_in_float(parts: Sequence[FloatPart]) -> list[dict[str, Any]]:
    """The list as plain JSON values, for the manifest."""
    return [{**dataclasses.asdict(part), "layers": list(part.layers)} for part in parts]
