"""Writes a LiteRT flatbuffer with equal parts written once.

A loop is some hundred ops and tensors, most of them alike: float32 of the same shape, an ADD without options. A
flatbuffer's parts refer to each other by offset, so any number of places may refer to one part.
"""

from typing import Any

import flatbuffers
import numpy as np

_IDENTIFIER = b"TFL3"


def pack(model: Any) -> bytes:
    """The bytes of a file.

    Args:
        model: A `schema.ModelT`; its lists are changed in place.
    """
    known: dict[Any, _Once] = {}
    mains = {signature.subgraphIndex for signature in model.signatureDefs or []}
    for number, subgraph in enumerate(model.subgraphs):
        if number not in mains:
            subgraph.name = None
            _renumber(subgraph)
        for op in subgraph.operators:
            op.inputs, op.outputs = np.array(op.inputs, np.int32), np.array(op.outputs, np.int32)
            for name in ("mutatingVariableInputs", "intermediates"):
                if getattr(op, name) is not None and len(getattr(op, name)) == 0:
                    setattr(op, name, None)
            op.builtinOptions = None if op.builtinOptions is None else _once(op.builtinOptions, known)
        subgraph.inputs, subgraph.outputs = np.array(subgraph.inputs, np.int32), np.array(subgraph.outputs, np.int32)
        subgraph.operators = [_once(op, known) for op in subgraph.operators]
        subgraph.tensors = [_once(tensor, known) for tensor in subgraph.tensors]
    model.subgraphs = [_once(subgraph, known) for subgraph in model.subgraphs]
    builder = _Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _renumber(subgraph: Any) -> None:
    """Numbers the tensors in the order of their use, so that the loops of like layers have equal ops."""
    places: dict[int, int] = {-1: -1}  # an input that is left out

    def renumbered(tensors: Any) -> list[int]:
        return [places.setdefault(int(tensor), len(places) - 1) for tensor in tensors]

    subgraph.inputs = renumbered(subgraph.inputs)
    for op in subgraph.operators:
        op.inputs, op.outputs = renumbered(op.inputs), renumbered(op.outputs)
    subgraph.outputs = renumbered(subgraph.outputs)
    subgraph.tensors = [subgraph.tensors[old] for old in places if old >= 0]


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Writes equal vectors once, of numbers and of tables."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._known: dict[tuple[Any, Any], int] = {}
        self._begun = 0  # the file's size before the vector that is being written
        self._tables: list[int] | None = None  # those that the vector refers to; None outside vectors, and for strings

    def StartVector(self, *sizes: int) -> int:  # noqa: N802  # its parent's name
        self._begun, self._tables = self.Offset(), []
        return int(super().StartVector(*sizes))

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802  # its parent's name
        if self._tables is not None:
            self._tables.append(off)
        super().PrependUOffsetTRelative(off)

    def EndVector(self, *sizes: int) -> int:  # noqa: N802  # its parent's name
        place = int(super().EndVector(*sizes))
        tables, self._tables = self._tables, None
        if not tables:
            return place
        known = self._known.setdefault(("tables", tuple(tables)), place)
        if known != place:
            self.head = len(self.Bytes) - self._begun  # what stands in the file already is not written again
        return known

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802  # its parent's name
        key = (x.dtype.str, x.tobytes())
        if key not in self._known:
            self._known[key] = super().CreateNumpyVector(x)
        return self._known[key]


class _Once:
    """A table that is written where it is first asked for."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._offset: int | None = None

    def Pack(self, builder: Any) -> int:  # noqa: N802  # as the generated tables have it
        """-> the table's place in the file."""
        if self._offset is None:
            self._offset = self._table.Pack(builder)
        return self._offset


def _once(table: Any, known: dict[Any, _Once]) -> _Once:
    return known.setdefault(_content(table), _Once(table))


def _content(value: Any) -> Any:
    """Something hashable that is equal for equal parts."""
    if isinstance(value, _Once):  # equal ones are the same already
        return id(value)
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.tobytes())
    if isinstance(value, list):
        return tuple(_content(item) for item in value)
    if hasattr(value, "__dict__"):
        return (type(value), *(_content(item) for item in vars(value).values()))
    return value
