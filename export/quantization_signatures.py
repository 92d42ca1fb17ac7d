"""Signatures without inputs (a step model's `reset`), which LiteRT's quantizer cannot read: set aside, then put back.

They hold constants only, so nothing of them is to be quantized.
"""

import copy
import dataclasses
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"


@dataclasses.dataclass(frozen=True)
class Aside:
    """A signature, its subgraph, and what that refers to: buffers by tensor, operator codes by operator."""

    signature: Any
    subgraph: Any
    buffers: list[Any]
    codes: list[Any]


def set_aside(content: bytes) -> tuple[bytes, list[Aside]]:
    """-> (the file without its signatures that have no inputs, these)."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    taken = {s.subgraphIndex: s for s in model.signatureDefs or [] if not s.inputs}
    if not taken:
        return content, []
    asides = []
    for index, signature in taken.items():
        graph = model.subgraphs[index]
        buffers = [model.buffers[tensor.buffer] for tensor in graph.tensors]
        codes = [model.operatorCodes[operator.opcodeIndex] for operator in graph.operators or []]
        asides.append(Aside(signature, graph, buffers, codes))
    kept = [index for index in range(len(model.subgraphs)) if index not in taken]
    model.subgraphs = [model.subgraphs[index] for index in kept]
    model.signatureDefs = [s for s in model.signatureDefs if s.subgraphIndex not in taken]
    for signature in model.signatureDefs:  # files that hold loops, which name subgraphs too, never come here
        signature.subgraphIndex = kept.index(signature.subgraphIndex)
    return _pack(model), asides


def put_back(content: bytes, asides: list[Aside]) -> bytes:
    """The file with the signatures at its end."""
    if not asides:
        return content
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for aside in asides:
        graph = copy.copy(aside.subgraph)
        for tensor, buffer in zip(graph.tensors, aside.buffers, strict=True):
            empty = buffer.data is None or len(buffer.data) == 0
            tensor.buffer = 0 if empty else len(model.buffers)
            if not empty:
                model.buffers.append(buffer)
        for operator, code in zip(graph.operators or [], aside.codes, strict=True):
            operator.opcodeIndex = len(model.operatorCodes)
            model.operatorCodes.append(code)
        aside.signature.subgraphIndex = len(model.subgraphs)
        model.subgraphs.append(graph)
        model.signatureDefs.append(aside.signature)
    return _pack(model)


def _pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())
