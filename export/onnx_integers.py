"""Quotients and remainders of whole numbers, rounded down as TensorFlow rounds them; tf2onnx rounds towards zero."""

from collections.abc import Callable
from typing import Any

import onnx
from tf2onnx.onnx_opset import math

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


HANDLERS: dict[str, Callable[..., None]] = {"FloorMod": _floor_mod, "FloorDiv": _floor_div}
