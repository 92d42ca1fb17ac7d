"""What values an input may take, read off the model's graph: token ids below the vocabulary, padding values."""

import dataclasses
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import while_v2

# Ops that hand their data on unchanged, but for place, shape or type: operand indices that carry it.
_PASS: dict[str, tuple[int, ...]] = {
    "Identity": (0,),
    "Cast": (0,),
    "Reshape": (0,),
    "ExpandDims": (0,),
    "Squeeze": (0,),
    "StridedSlice": (0,),
    "Slice": (0,),
    "Transpose": (0,),
    "Tile": (0,),
    "BroadcastTo": (0,),
    "ReverseV2": (0,),
    "Pad": (0,),
    "PadV2": (0,),
    "StopGradient": (0,),
    "EnsureShape": (0,),
    "Pack": tuple(range(64)),
    "Unpack": (0,),
    "ConcatV2": tuple(range(64)),
    "SelectV2": (1, 2),  # keras.ops.take: where(index < 0, index + size, index)
    "AddV2": (0, 1),
    "Sum": (0,),  # one number of several, the others made 0: a place that is known at run time only
    "Maximum": (0, 1),
}
_LOOPS = ("While", "StatelessWhile")


@dataclasses.dataclass
class Domain:
    """What is known of one input.

    Attributes:
        size: Values are indices below this; None where they are no indices.
        padding: The value that stands for padding; None where the model masks nothing by value.
        words: What the model's lookup tables of words hold.
    """

    size: int | None = None
    padding: float | None = None
    words: tuple[str, ...] = ()


def input_domains(function: tf.types.experimental.ConcreteFunction, arguments: dict[str, str]) -> dict[str, Domain]:
    """The domain of each input, by name; `arguments` tells the function's argument for each."""
    by_argument = {tensor.op.name: tensor for tensor in function.graph.inputs}
    domains = {name: _domain(by_argument[argument]) for name, argument in arguments.items()}
    words = _words(function)
    for name, argument in arguments.items():
        if by_argument[argument].dtype == tf.string:
            domains[name].words = words
    return domains


def _words(function: tf.types.experimental.ConcreteFunction) -> tuple[str, ...]:
    found: set[str] = set()
    for table, placeholder in function.graph.captures:
        for op in placeholder.consumers():
            if op.type == "LookupTableFindV2" and op.inputs[0] is placeholder and op.get_attr("Tin") == tf.string:
                values = op.get_attr("Tout")
                held = tf.raw_ops.LookupTableExportV2(table_handle=table, Tkeys=tf.string, Tvalues=values)
                found.update(key.decode(errors="replace") for key in held.keys.numpy())
    return tuple(sorted(found))


def _domain(source: tf.Tensor) -> Domain:
    domain = Domain()
    seen: set[int] = set()
    waiting = [source]
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        for op in tensor.consumers():
            places = [i for i, operand in enumerate(op.inputs) if operand is tensor]
            if any(place in _PASS.get(op.type, ()) for place in places):
                waiting.extend(op.outputs)
            elif op.type in _LOOPS:
                waiting.extend(_body(op).inputs[place] for place in places)
                waiting.extend(op.outputs[place] for place in places)
            elif 1 in places and op.type in ("GatherV2", "ResourceGather"):
                domain.size = _least(domain.size, _gathered_size(op))
            elif 0 in places and op.type == "OneHot":
                domain.size = _least(domain.size, tf.get_static_value(op.inputs[1]))
            elif op.type == "NotEqual":
                other = tf.get_static_value(op.inputs[1 - places[0]])
                if other is not None and getattr(other, "ndim", 0) == 0:
                    domain.padding = float(other)
    return domain


def _body(loop: tf.Operation) -> Any:
    """The graph of a loop's body, whose inputs are the loop's."""
    return while_v2._get_graph(loop, "body", "_body_graph")


def _least(known: int | None, found: Any) -> int | None:
    if found is None:
        return known
    return int(found) if known is None else min(known, int(found))


def _gathered_size(op: tf.Operation) -> int | None:
    table = op.inputs[0]
    if op.type == "ResourceGather":
        shape = tf.TensorShape(op.get_attr("_output_shapes")) if "_output_shapes" in op.node_def.attr else None
        return None if shape is None else shape[0]
    axis = tf.get_static_value(op.inputs[2])
    size = table.shape[int(axis)] if axis is not None and table.shape.rank else None
    return None if size is None else int(size)
