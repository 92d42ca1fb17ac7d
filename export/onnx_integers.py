"""Whole numbers, where tf2onnx gets them wrong or does more than ONNX needs.

It knows no bins; it rounds quotients towards zero, where TensorFlow rounds them down; it compares as floats what ONNX
compares as it is; and it leaves in what Keras does for places counted from the end, which ONNX counts from there by
itself.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from tf2onnx.graph_builder import GraphBuilder
from tf2onnx.onnx_opset import logical, math
from tf2onnx.onnx_opset.tensor import GatherV2

_WHOLE = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def _floor_mod(context: Any, node: Any, name: str, arguments: Any) -> None:
    """ONNX's Mod has the divisor's sign."""
    if context.get_dtype(node.input[0]) in _WHOLE:
        node.type = "Mod"
    else:
        math.FloorMod.version_7(context, node)


def _floor_div(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Less its remainder, x is divided exactly."""
    dtype = context.get_dtype(node.input[0])
    if dtype not in _WHOLE:
        math.FloorDiv.version_6(context, node)
        return
    (x, y), (output,) = node.input, node.output
    shape = context.get_shape(output)
    context.remove_node(node.name)
    rest = context.make_node("Mod", [x, y], shapes=[shape], dtypes=[dtype]).output[0]
    multiple = context.make_node("Sub", [x, rest], shapes=[shape], dtypes=[dtype]).output[0]
    context.make_node("Div", [multiple, y], name=node.name, outputs=[output], shapes=[shape], dtypes=[dtype])


def _compare(context: Any, node: Any, name: str, arguments: Any) -> None:
    """The same operator for whole numbers as for floats, which they would be rounded to."""
    new = {"GreaterEqual": "GreaterOrEqual", "LessEqual": "LessOrEqual"}.get(node.type, node.type)
    if {context.get_dtype(tensor) for tensor in node.input} <= set(_WHOLE):
        node.type = new
    elif new == node.type:
        logical.GreaterLess.version_7(context, node)
    else:
        logical.GreaterLessEqual.version_12(context, node)


def _gather(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Keras adds the length to places below 0; ONNX's Gather does so itself."""
    places, axis = node.inputs[1], node.inputs[2]
    shape = context.get_shape(node.input[0])
    if places.type == "Where" and shape and axis.is_const() and not node.get_attr_value("batch_dims", 0):
        negative, added = places.inputs[:2]
        plain = places.input[2]
        from_the_end = negative.type == "Less" and negative.input[0] == plain and _is(negative.inputs[1], 0)
        length = shape[int(axis.get_tensor_value())]
        if from_the_end and added.type == "Add" and added.input[0] == plain and _is(added.inputs[1], length):
            context.replace_input(node, node.input[1], plain, 1)
    GatherV2.version_12(context, node)


def _bucketize(context: Any, node: Any, name: str, arguments: Any) -> None:
    """A number's bin is how many boundaries it is not below, as TensorFlow has it: NaN is in the last one."""
    boundaries = np.asarray(node.get_attr_value("boundaries"), np.float32)
    (x,), (output,) = node.input, node.output
    shape = context.get_shape(output)
    context.remove_node(node.name)
    floats = context.make_node("Cast", [x], attr={"to": onnx.TensorProto.FLOAT}).output[0]
    apart = GraphBuilder(context).make_unsqueeze({"data": floats, "axes": [-1]})
    bounds = context.make_const(f"{node.name}/boundaries", boundaries).output[0]
    reached = context.make_node("Not", context.make_node("Less", [apart, bounds]).output).output
    count = context.make_node("Cast", reached, attr={"to": onnx.TensorProto.INT32}).output[0]
    GraphBuilder(context).make_reduce_sum(
        {"data": count, "axes": [-1], "keepdims": 0, "noop_with_empty_axes": 1, "outputs": [output]},
        name=node.name,
        shapes=[shape],
        dtypes=[onnx.TensorProto.INT32],
    )


def _is(node: Any, value: int) -> bool:
    return bool(node.is_const() and node.get_tensor_value(as_list=False).size == 1 and node.get_tensor_value() == value)


HANDLERS: dict[str, Callable[..., None]] = {
    "Bucketize": _bucketize,
    "FloorMod": _floor_mod,
    "FloorDiv": _floor_div,
    "GatherV2": _gather,
    **dict.fromkeys(("Greater", "GreaterEqual", "Less", "LessEqual"), _compare),
}
