"""Real Fourier transforms in ONNX, as products with the sines and cosines: its own DFT is a slow op, and not complex.

A complex tensor is a real one here, real and imaginary parts along a new first axis.
"""

from typing import Any

import numpy as np
import onnx
from tf2onnx.graph_builder import GraphBuilder

from export.spectral import waves


def _rfft(context: Any, node: Any, name: str, arguments: Any) -> None:
    x, length = node.input[0], int(np.ravel(node.inputs[1].get_tensor_value(as_list=False))[0])
    shape, output = context.get_shape(x), node.output[0]
    size = shape[-1]
    if size < 0:
        raise ValueError("a Fourier transform of frames whose length is not known beforehand")
    parts = waves(size, length)
    parts = parts.reshape(2, *[1] * (len(shape) - 2), *parts.shape[1:])
    context.remove_node(node.name)
    matrices = context.make_const(f"{node.name}/waves", parts).output[0]
    made = [2, *shape[:-1], parts.shape[-1]]
    both = GraphBuilder(context).make_unsqueeze({"data": x, "axes": [0]})
    context.make_node("MatMul", [both, matrices], outputs=[output], shapes=[made], dtypes=[onnx.TensorProto.FLOAT])


def _part(index: int) -> Any:
    def handle(context: Any, node: Any, name: str, arguments: Any) -> None:
        z, output = node.input[0], node.output[0]
        shape = context.get_shape(z)
        context.remove_node(node.name)
        place = context.make_const(f"{node.name}/part", np.array(index, np.int64)).output[0]
        context.make_node(
            "Gather",
            [z, place],
            attr={"axis": 0},
            outputs=[output],
            shapes=[None if shape is None else shape[1:]],
            dtypes=[onnx.TensorProto.FLOAT],
        )

    return handle


def _magnitude(context: Any, node: Any, name: str, arguments: Any) -> None:
    z, output = node.input[0], node.output[0]
    shape = context.get_shape(z)
    context.remove_node(node.name)
    norm = context.make_node("Mul", [z, z]).output[0]
    power = GraphBuilder(context).make_reduce_sum({"data": norm, "axes": [0], "keepdims": 0})
    shapes = [None if shape is None else shape[1:]]
    context.make_node("Sqrt", [power], outputs=[output], shapes=shapes, dtypes=[onnx.TensorProto.FLOAT])


HANDLERS = {"RFFT": _rfft, "Real": _part(0), "Imag": _part(1), "ComplexAbs": _magnitude}
