"""What tf2onnx leaves in an ONNX Loop that does not belong there, moved out of it.

TensorFlow hands each weight to a loop as a state that never changes, and so does tf2onnx. onnxruntime then copies it
when the loop ends, and cannot prepare it for products before the loop starts; read from the graph around the loop it
needs neither. A node that reads only such values gives the same at each step: it runs once, before the loop.
"""

import itertools
from collections.abc import Iterator, Mapping

import onnx
from onnx import helper

_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
# They cannot fail where the loop takes no step and would not have asked for them.
_MOVABLE = frozenset(
    """
Abs Add And Cast Concat Constant Equal Exp Expand Gemm Greater GreaterOrEqual Identity Less LessOrEqual Log MatMul Mul
Neg Not Or ReduceL1 ReduceMax ReduceSum Reshape Shape Sigmoid Slice Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze
Where
""".split()  # noqa: SIM905  # a table is easier to read
)


def free_loops(graph: onnx.GraphProto) -> None:
    """Moves what never changes out of each Loop; in place.

    Args:
        graph: A main graph.
    """
    _free_loops(graph, itertools.count())


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside of a node."""
    for attribute in node.attribute:
        if attribute.type in _GRAPHS:
            yield from [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs


def _free_loops(graph: onnx.GraphProto, numbers: Iterator[int]) -> None:
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        for body in bodies(node):
            _free_loops(body, numbers)
        nodes += _freed(graph, node, f"moved_{next(numbers)}") if node.op_type == "Loop" else [node]
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unread(graph)


def _freed(graph: onnx.GraphProto, loop: onnx.NodeProto, prefix: str) -> list[onnx.NodeProto]:
    """-> the nodes that stand in the place of a Loop: what was moved out of it, the Loop, and what it used to give."""
    (body,) = bodies(loop)
    constant = _take_constant_states(loop, body)
    outside = {name: outer for name, outer, _ in constant}
    for value in body.output:  # what a body gives must be made there
        if value.name in outside:
            given = f"{prefix}/{value.name}"
            body.node.append(helper.make_node("Identity", [outside[value.name]], [given]))
            value.name = given
    rename_read(body, outside)
    before = _take_constant_nodes(graph, body, prefix)
    return [*before, loop, *(helper.make_node("Identity", [outer], [output]) for _, outer, output in constant)]


def _take_constant_states(loop: onnx.NodeProto, body: onnx.GraphProto) -> list[tuple[str, str, str]]:
    """Takes away the states that each step hands on as they are: -> their names within, before and after the loop."""
    origin = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}
    taken = []
    for place in reversed(range(len(body.input) - 2)):  # behind the iteration's number and the condition
        source, name = body.output[1 + place].name, body.input[2 + place].name
        while source in origin:
            source = origin[source]
        if source == name:
            taken.append((name, loop.input[2 + place], loop.output[place]))
            for values, index in ((body.input, 2), (body.output, 1), (loop.input, 2), (loop.output, 0)):
                del values[index + place]
    return taken


def _take_constant_nodes(graph: onnx.GraphProto, body: onnx.GraphProto, prefix: str) -> list[onnx.NodeProto]:
    """Takes away the nodes that give the same at each step; the constants that they read become the outer graph's."""
    constants = {tensor.name: tensor for tensor in body.initializer}
    given = {value.name for value in body.output}
    changing = {value.name for value in body.input} | {name for node in body.node for name in node.output}
    names: dict[str, str] = {}
    taken, kept = [], []
    for node in body.node:
        if node.op_type not in _MOVABLE or changing & set(node.input) or given & set(node.output):
            kept.append(node)
            continue
        taken.append(node)
        changing -= set(node.output)
        moved = {*node.output, *(name for name in node.input if name in constants)}
        names |= {name: f"{prefix}/{name}" for name in moved}  # the outer graph may have such a name already
    for values, rest in ((body.node, kept), (body.initializer, [c for c in constants.values() if c.name not in names])):
        del values[:]
        values.extend(rest)
    for node in taken:
        node.output[:] = [names[name] for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    for name in names.keys() & constants.keys():
        constants[name].name = names[name]
        graph.initializer.append(constants[name])
    rename_read(body, names)
    return taken


def rename_read(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Gives other names to what the nodes of a graph read, those of its inner graphs included.

    Args:
        graph: Changed in place.
        names: Name -> the other name.
    """
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for body in bodies(node):
            rename_read(body, names)


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Drops the copies that nothing reads."""
    read = read_names(graph)
    kept = [node for node in graph.node if node.op_type != "Identity" or node.output[0] in read]
    del graph.node[:]
    graph.node.extend(kept)


def read_names(graph: onnx.GraphProto) -> set[str]:
    """Lists what a graph gives and what its nodes read, those of its inner graphs included."""
    names = {value.name for value in graph.output} | {name for node in graph.node for name in node.input}
    return names.union(*(read_names(body) for node in graph.node for body in bodies(node)))
