"""Reading rows by number, in ops that every export format holds."""

from typing import Any

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
