"""ONNX: recurrent layers as the operators LSTM, GRU and RNN, masks as sequence_lens, dynamic batch and time."""

import contextlib
import functools
import itertools
import logging
import re
import string
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from keras.src.export.tf2onnx_lib import patch_tf2onnx
from tf2onnx.graph_builder import GraphBuilder
from tf2onnx.onnx_opset.controlflow import Select
from tf2onnx.onnx_opset.reduction import AllAny
from tf2onnx.onnx_opset.tensor import TopKV2

from export import onnx_integers, onnx_ops, onnx_spectral
from export.errors import ExportError, first_line
from export.onnx_cells import STEPS
from export.onnx_loops import bodies, free_loops
from export.onnx_rnn import MARKER, OnnxEngine, OnnxLowering, handler
from export.onnx_rows import serve_many_rows
from export.onnx_weights import share_weights
from export.ports import named_axes, written_names
from export.tflite_ops import PRODUCTS
from export.trace import Traced

# The newest opset that tf2onnx writes; later ones go through onnx's own converter.
_TF2ONNX_OPSET = 18
_OLDEST_OPSET = 14
_OPSET_OF_ROWS = 15  # Shape has no start and end before
# What onnxruntime's Where takes; not booleans.
_WHERE_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def lowering() -> OnnxLowering:
    """Recurrent layers as ONNX operators."""
    made = OnnxLowering()
    made.patches = {**PRODUCTS, **STEPS, **onnx_ops.PATCHES}
    return made


def convert(
    traced: Traced,
    engine: OnnxEngine,
    metadata: dict[str, str],
    opset: int = _TF2ONNX_OPSET,
    *,
    many_rows: bool = False,
) -> bytes:
    """The ONNX file.

    Args:
        traced: The model, traced with `OnnxLowering(engine)`.
        engine: Knows the operators of the traced markers.
        metadata: Entries to put into the file.
        opset: The operator set's version.
        many_rows: A SimpleRNN gets a form for many rows beside the operator, from opset 15 on.

    Raises:
        ExportError: The model needs an op that ONNX lacks, or the opset does not exist.
    """
    newest = _newest_opset()
    if not _OLDEST_OPSET <= opset <= newest:
        raise ExportError(f"ONNX opset {opset} is out of range: choose from {_OLDEST_OPSET} to {newest}")
    try:
        with _quiet():
            proto = _convert(traced, engine, min(opset, _TF2ONNX_OPSET))
            if opset > _TF2ONNX_OPSET:
                proto = onnx.version_converter.convert_version(proto, opset)
            _finish(proto, traced, metadata, many_rows, opset)
            onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # tf2onnx and onnx raise bare ValueError, RuntimeError, KeyError, AssertionError ...
        raise ExportError(_explain(error)) from error
    return bytes(proto.SerializeToString())


@functools.cache
def _newest_opset() -> int:
    """The newest opset that the installed onnxruntime loads: onnx knows later ones, which are not released."""
    import onnxruntime

    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "probe", [x], [y])
    for opset in range(onnx.defs.onnx_opset_version(), _TF2ONNX_OPSET, -1):
        probe = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
        try:
            onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception:  # onnxruntime has exceptions of its own
            continue
        return opset
    return _TF2ONNX_OPSET


def _explain(error: Exception) -> str:
    lacking = re.findall(r"No Op registered for (\w+)|table shared name for node \S*?(\w+)$", first_line(error))
    if lacking:
        return f"ONNX has no op for {lacking[0][0] or lacking[0][1]}; replace it in the model"
    return f"the ONNX converter failed: {first_line(error)}"


def _convert(traced: Traced, engine: OnnxEngine, opset: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras's patch asks whether NumPy still has np.object
        patch_tf2onnx()
    function = traced.function
    inputs = {f"{argument}:0": name for name, argument in traced.arguments.items()}
    _, written = written_names("onnx", traced.signature.inputs, traced.outputs)
    outputs = {
        function.structured_outputs[port.name].name: name for port, name in zip(traced.outputs, written, strict=True)
    }
    with tf.device("/CPU:0"):
        frozen = tf2onnx.tf_loader.from_function(function, list(inputs), list(outputs))
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name="")
            # continue_on_error stays off: left on, an unknown op would end up in the file.
            converted = tf2onnx.tfonnx.process_tf_graph(
                graph,
                opset=opset,
                custom_op_handlers={MARKER: (handler(engine), []), **_HANDLERS},
                input_names=list(inputs),
                output_names=list(outputs),
                tensors_to_rename={**inputs, **outputs},
            )
        return tf2onnx.optimizer.optimize_graph(converted).make_model(traced.model.name)


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """erfc(x) = 1 - erf(x), for the exact gelu: tf2onnx knows Erf only."""
    _replace(context, node, "Erf", lambda one, erf: [one, erf])


def _expm1(context: Any, node: Any, name: str, arguments: Any) -> None:
    """expm1(x) = exp(x) - 1, for celu."""
    _replace(context, node, "Exp", lambda one, exp: [exp, one])


def _log1p(context: Any, node: Any, name: str, arguments: Any) -> None:
    """log1p(x) = log(1 + x), which loses digits of a small x: within the table's tolerance."""
    (x,), (output,) = node.input, node.output
    shape, dtype = context.get_shape(output), context.get_dtype(output)
    one = context.make_const(f"{node.name}/one", np.array(1, onnx.helper.tensor_dtype_to_np_dtype(dtype))).output[0]
    node.type = "Log"
    context.replace_input(node, x, context.make_node("Add", [x, one], shapes=[shape], dtypes=[dtype]).output[0], 0)


def _select(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Where: tf2onnx would take six ops that multiply by the condition, and give NaN for an infinity not chosen."""
    if context.get_dtype(node.output[0]) in _WHERE_TYPES:
        node.set_attr("handles_nan", True)  # tf2onnx's own word for it
    Select.version_9(context, node)


def _replace(context: Any, node: Any, inner: str, operands: Callable[[str, str], list[str]]) -> None:
    """Puts the difference of 1 and an inner op in the place of a node."""
    (x,), (output,) = node.input, node.output
    shape, dtype = context.get_shape(output), context.get_dtype(output)
    context.remove_node(node.name)
    value = context.make_node(inner, [x], shapes=[shape], dtypes=[dtype]).output[0]
    one = context.make_const(f"{node.name}/one", np.array(1, onnx.helper.tensor_dtype_to_np_dtype(dtype))).output[0]
    context.make_node("Sub", operands(one, value), name=node.name, outputs=[output], shapes=[shape], dtypes=[dtype])


def _top_k(context: Any, node: Any, name: str, arguments: Any) -> None:
    """TopK: tf2onnx would take floats only, and cast 64-bit indices to 64 bits."""
    node.type = "TopK"
    k, types = node.input[1], {context.get_dtype(tensor) for tensor in (*node.input, node.output[1])}
    if types != {onnx.TensorProto.INT64}:
        TopKV2.version_13(context, node)
        return
    context.replace_input(node, k, GraphBuilder(context).make_unsqueeze({"data": k, "axes": [0]}), 1)


def _any(context: Any, node: Any, name: str, arguments: Any) -> None:
    """any(x != 0) of floats, as Masking asks it: the sum of |x| is not 0. tf2onnx would take six ops."""
    negation = node.inputs[0]
    equal = negation.inputs[0] if negation.type == "Not" else None
    if equal is None or equal.type != "Equal" or not _is_zero(equal.inputs[1]):
        AllAny.version_13(context, node)
        return
    axes = np.atleast_1d(node.inputs[1].get_tensor_value(as_list=False)).astype(np.int64)
    keep, shape, output = int(node.get_attr_value("keep_dims")), context.get_shape(node.output[0]), node.output[0]
    context.remove_node(node.name)
    if context.opset < 18:  # where the axes became an input
        total = context.make_node("ReduceL1", [equal.input[0]], attr={"axes": axes.tolist(), "keepdims": keep})
    else:
        places = context.make_const(f"{node.name}/axes", axes).output[0]
        total = context.make_node("ReduceL1", [equal.input[0], places], attr={"keepdims": keep})
    boolean = onnx.TensorProto.BOOL
    context.make_node(
        "Cast", total.output, name=node.name, outputs=[output], attr={"to": boolean}, shapes=[shape], dtypes=[boolean]
    )


def _is_zero(node: Any) -> bool:
    if not node.is_const():
        return False
    value = node.get_tensor_value(as_list=False)
    return bool(value.dtype == np.float32 and value.size == 1 and value.item() == 0)


_HANDLERS: dict[str, tuple[Callable[..., None], list[Any]]] = {
    "Any": (_any, []),
    "Erfc": (_erfc, []),
    "Expm1": (_expm1, []),
    "Log1p": (_log1p, []),
    "Select": (_select, []),
    "SelectV2": (_select, []),
    "TopKV2": (_top_k, []),
    **{op: (handle, []) for op, handle in {**onnx_spectral.HANDLERS, **onnx_integers.HANDLERS}.items()},
}


def _finish(proto: onnx.ModelProto, traced: Traced, metadata: dict[str, str], many_rows: bool, opset: int) -> None:
    """Names the dynamic axes, serves many rows, and writes the metadata."""
    input_axes, output_axes = named_axes(traced.signature.inputs, traced.outputs)
    for value, axes in zip([*proto.graph.input, *proto.graph.output], [*input_axes, *output_axes], strict=True):
        del value.type.tensor_type.shape.dim[:]
        for axis in axes:
            dim = value.type.tensor_type.shape.dim.add()
            if isinstance(axis, int):
                dim.dim_value = axis
            else:
                dim.dim_param = axis
    free_loops(proto.graph)
    if many_rows and opset >= _OPSET_OF_ROWS:
        serve_many_rows(proto)
    share_weights(proto.graph)
    strip_names(proto.graph)
    onnx.helper.set_model_props(proto, metadata)


def strip_names(graph: onnx.GraphProto) -> None:
    """Short names for inner values, none for nodes: the traced ops' long ones are most of a small file's bytes."""
    kept = {value.name for value in [*graph.input, *graph.output]}
    free = (name for name in _short_names() if name not in kept)
    short: dict[str, str] = {"": ""}

    def rename(name: str) -> str:
        if name not in kept and name not in short:
            short[name] = next(free)
        return name if name in kept else short[name]

    def visit(inner: onnx.GraphProto) -> None:
        del inner.value_info[:]
        for value in [*inner.input, *inner.output, *inner.initializer]:
            value.name = rename(value.name)
        if inner is not graph:
            inner.name = "body"
            for dim in (d for v in [*inner.input, *inner.output] for d in v.type.tensor_type.shape.dim):
                dim.ClearField("dim_param")  # tf2onnx's number for a size of which it knows nothing
        for node in inner.node:
            node.name, node.doc_string = "", ""
            node.input[:] = [rename(name) for name in node.input]
            node.output[:] = [rename(name) for name in node.output]
            for body in bodies(node):
                visit(body)

    visit(graph)


def _short_names() -> Iterator[str]:
    """a, b ... Z, aa, ab ... aZ, a0 ...: one or two letters for all values of any but a very large file."""
    for length in itertools.count():
        for first in string.ascii_letters:
            for rest in itertools.product(string.ascii_letters + string.digits, repeat=length):
                yield first + "".join(rest)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """tf2onnx logs each conversion's progress, and an unknown op before it raises."""
    logger: Any = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
