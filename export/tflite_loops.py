"""What the LiteRT converter leaves in loops, mended in the flatbuffer."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema


def drop_unused_variables(model: Any) -> None:
    """Drops the loop variables that nothing reads but their own update, and the update.

    TensorFlow counts the iterations of each loop beside the loop's own counter. An op on one number costs the
    interpreter as much as a gate of a small recurrent layer.

    Args:
        model: A `schema.ModelT`; changed in place.
    """
    for subgraph in model.subgraphs:
        for op in subgraph.operators:
            if _is(model, op, schema.BuiltinOperator.WHILE):
                _drop_unused_variables_of(model, subgraph, op)


def widen_constant_results(model: Any) -> None:
    """Puts back in float32 what a subgraph gives that is a float16 constant, dequantized there.

    XNNPACK takes a DEQUANTIZE of a constant for a part of the product that reads it. Where the subgraph's own output is
    what reads it (a loop whose mask is the same at each step), the interpreter fails to run.

    Args:
        model: A `schema.ModelT`; changed in place.
    """
    for subgraph in model.subgraphs:
        for op in list(subgraph.operators):
            if not _is(model, op, schema.BuiltinOperator.DEQUANTIZE) or op.outputs[0] not in subgraph.outputs:
                continue
            given = subgraph.tensors[op.inputs[0]]
            data = model.buffers[given.buffer].data
            if given.type != schema.TensorType.FLOAT16 or data is None or len(data) == 0:
                continue
            wide = schema.BufferT()
            wide.data = np.frombuffer(bytes(data), np.float16).astype(np.float32).view(np.uint8)
            subgraph.tensors[op.outputs[0]].buffer = len(model.buffers)
            model.buffers.append(wide)
            subgraph.operators.remove(op)


def _is(model: Any, op: Any, kind: int) -> bool:
    return bool(model.operatorCodes[op.opcodeIndex].builtinCode == kind)


def _drop_unused_variables_of(model: Any, subgraph: Any, loop: Any) -> None:
    condition = model.subgraphs[loop.builtinOptions.condSubgraphIndex]
    body = model.subgraphs[loop.builtinOptions.bodySubgraphIndex]
    kept = []
    for place, result in enumerate(loop.outputs):
        read_outside = _readers(subgraph, result) or result in subgraph.outputs
        update = _own_update(body, place)
        if read_outside or update is None or _readers(condition, condition.inputs[place]):
            kept.append(place)
        else:
            body.operators.remove(update)
    for owner, name in (
        *((loop, "inputs"), (loop, "outputs"), (condition, "inputs")),
        *((body, "inputs"), (body, "outputs")),
    ):
        tensors = getattr(owner, name)
        setattr(owner, name, [int(tensors[place]) for place in kept])


def _readers(subgraph: Any, tensor: int) -> list[Any]:
    return [op for op in subgraph.operators if tensor in op.inputs]


def _own_update(body: Any, place: int) -> Any:
    """The one op that reads a variable, if all it does is to give the variable's next value; else None."""
    before, after = body.inputs[place], body.outputs[place]
    readers = _readers(body, before)
    alone = len(readers) == 1 and list(readers[0].outputs) == [after] and not _readers(body, after)
    shared = before in body.outputs or list(body.outputs).count(after) > 1
    return readers[0] if alone and not shared else None
