"""Which ops the micro runtime has, and how a program registers them.

The table is TensorFlow Lite Micro's own: the builtin ops of python/tflite_micro/python_ops_resolver.cc in
tensorflow/tflite-micro, and those whose kernels its release 0.dev20261023182759 holds besides (BATCH_MATMUL,
DYNAMIC_UPDATE_SLICE, EMBEDDING_LOOKUP, REDUCE_ALL, REDUCE_MIN, REVERSE_V2). Each has a method of
`MicroMutableOpResolver` (tensorflow/lite/micro/micro_mutable_op_resolver.h).
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from keras.src.backend.tensorflow import numpy

from export.errors import ExportError
from export.tflite_ops import PATCHES

MICRO_OPS = frozenset(
    """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV
DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER
GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOG_SOFTMAX
LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD
PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH
SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
""".split()  # noqa: SIM905  # a table is easier to compare with its source
)


def _take(original: Callable[..., Any]) -> Callable[..., Any]:
    def take(x: Any, indices: Any, axis: int | None = None) -> Any:
        if axis is None or isinstance(indices, (tf.SparseTensor, tf.RaggedTensor)):
            return original(x, indices, axis)
        # Keras counts negative indices from the end by a SELECT, and the runtime chooses between no int32.
        x, i = tf.convert_to_tensor(x), tf.convert_to_tensor(indices)
        if not i.dtype.is_unsigned:
            i += tf.cast(i < 0, i.dtype) * tf.cast(tf.shape(x)[axis], i.dtype)
        return tf.gather(x, i, axis=axis)

    return take


MICRO_PATCHES: dict[tuple[Any, str], Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    **PATCHES,
    (numpy, "take"): _take,
}
"""LiteRT's replacements of Keras's functions, and the micro runtime's own."""

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_METHODS = {
    LSTM: "AddUnidirectionalSequenceLSTM",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
}
_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def op_name(model: Any, operator: Any) -> str:
    """The name of an operator's op; `model` is a `schema.ModelT`."""
    code = model.operatorCodes[operator.opcodeIndex]
    name = _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return f"CUSTOM {code.customCode.decode()}" if name == "CUSTOM" else name


def count_ops(content: bytes) -> dict[str, int]:
    """How often a LiteRT file holds each op, in the order of the alphabet."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    counts = collections.Counter(op_name(model, op) for graph in model.subgraphs for op in graph.operators or [])
    return dict(sorted(counts.items()))


def check_ops(content: bytes, layers: Sequence[str]) -> None:
    """Refuses what the micro runtime lacks.

    Args:
        content: A LiteRT file in which tensors still have the converter's names.
        layers: Names of the model's layers, to say which one an op comes from.

    Raises:
        ExportError: An op is not in the table; names it and its layer.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for graph in model.subgraphs:
        for operator in graph.operators or []:
            name = op_name(model, operator)
            if name in MICRO_OPS:
                continue
            path = (graph.tensors[operator.outputs[0]].name or b"").decode()
            of = next((f" of layer {layer!r}" for layer in layers if _mentions(path, layer)), "")
            raise ExportError(
                f"the micro runtime has no {name}, the op{of}; replace it in the model, or leave it to the program "
                "around the model"
            )


def _mentions(path: str, layer: str) -> bool:
    """Whether a tensor's name, `model_1/layer_1/op;...`, goes through a layer; Keras numbers the scopes of calls."""
    scopes = path.replace(";", "/").split("/")
    return any(scope == layer or scope.rpartition("_")[0] == layer for scope in scopes)


def resolver_lines(ops: Sequence[str]) -> list[str]:
    """The calls that register ops, as C++ expressions on `resolver`."""
    return [f"resolver.{method_of(op)}()" for op in ops]


def method_of(op: str) -> str:
    """`FULLY_CONNECTED` -> `AddFullyConnected`."""
    return _METHODS.get(op) or "Add" + "".join(part.title() for part in op.split("_"))
