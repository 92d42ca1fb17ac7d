"""Reading rows by number, in ops that every export format holds."""

from typing import Any

import keras
from keras import ops


def largest(scores: Any) -> Any:
    """Names the largest entry of the last axis; of equal ones the first.

    Args:
        scores: (..., size).

    Returns:
        Its index, (...) int32.
    """
    # Not argmax: Keras compares the bits of its zeros, with ops that LiteRT and ONNX lack.
    return ops.cast(ops.top_k(scores, 1)[1][..., 0], "int32")


def take_rows(table: Any, index: Any) -> Any:
    """Reads rows of each sample's own table: a gather along one flat axis, which runs everywhere.

    Args:
        table: (batch, rows, size).
        index: Row numbers, int32, (batch, ...); numbers outside of the table read its first or its last row.

    Returns:
        (batch, ..., size).
    """
    batch, rows = ops.shape(table)[0], ops.shape(table)[1]
    flat = ops.reshape(ops.clip(index, 0, rows - 1), (batch, -1))
    start = ops.expand_dims(ops.cumsum(ops.ones_like(table[:, 0, 0], dtype="int32")) - 1, -1) * rows
    taken = ops.take(ops.reshape(table, (-1, table.shape[-1])), ops.reshape(flat + start, (-1,)), axis=0)
    return ops.reshape(taken, (*ops.shape(index), table.shape[-1]))


def kept_rows(keep: Any) -> tuple[Any, Any]:
    """Numbers the rows to keep; on JAX, which compiles for fixed shapes, that is all of them.

    Args:
        keep: (rows) bool.

    Returns:
        The kept rows' numbers (kept) int32, at least one of them, and where each row stands among them (rows) int32:
        where the last one before it stands if it is not kept.
    """
    rows = ops.cumsum(ops.ones_like(keep, dtype="int32")) - 1
    if keras.backend.backend() == "jax":
        return rows, rows
    # The first row always: some runtimes can't multiply an empty matrix.
    keep = ops.cast(ops.logical_or(keep, ops.equal(rows, 0)), "int32")
    # Not nonzero, which LiteRT lacks: the largest of what falls from row to row, as many as are kept.
    size = ops.shape(rows)[0]
    return ops.cast(ops.top_k(keep * (size - rows), ops.sum(keep))[1], "int32"), ops.cumsum(keep) - 1
