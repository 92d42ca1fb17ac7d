"""Weights that an ONNX file would hold twice.

A layer that is used the other way round, such as an embedding that is the output layer too, comes out of tf2onnx as two
constants, one of them transposed. onnxruntime computes a transposed constant when it loads the file, so a node instead
costs nothing afterwards.
"""

import collections
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.onnx_loops import bodies, read_names, rename_read

_LEAST = 1024  # bytes; a node and its name take a tenth of that


def share_weights(graph: onnx.GraphProto) -> None:
    """Keeps one of constants that are equal, or equal once transposed, and none of which only the shape is asked.

    Args:
        graph: A main graph; changed in place.
    """
    _fold_shapes(graph, {})
    _drop_unread(graph)
    kept: dict[int, list[tuple[str, np.ndarray]]] = collections.defaultdict(list)
    same: dict[str, str] = {}
    for tensor in list(graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.nbytes < _LEAST:
            continue
        twins = [(name, other) for name, other in kept[array.nbytes] if other.dtype == array.dtype]
        if equal := [name for name, other in twins if np.array_equal(other, array)]:
            same[tensor.name] = equal[0]
        elif turned := [name for name, other in twins if array.ndim == 2 and np.array_equal(other.T, array)]:
            graph.node.insert(0, helper.make_node("Transpose", turned[:1], [tensor.name], perm=[1, 0]))
        else:
            kept[array.nbytes].append((tensor.name, array))
            continue
        graph.initializer.remove(tensor)
    rename_read(graph, same)


def _fold_shapes(graph: onnx.GraphProto, outer: Mapping[str, list[int]]) -> None:
    """Constants in the place of the shapes of constants."""
    dims = {**outer, **{tensor.name: list(tensor.dims) for tensor in graph.initializer}}
    given = {value.name for value in graph.output}
    for node in list(graph.node):
        for body in bodies(node):
            _fold_shapes(body, dims)
        if node.op_type == "Shape" and node.input[0] in dims and not node.attribute and node.output[0] not in given:
            shape = np.array(dims[node.input[0]], np.int64)
            graph.initializer.append(numpy_helper.from_array(shape, node.output[0]))
            graph.node.remove(node)


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = read_names(graph)
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
