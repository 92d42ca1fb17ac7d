"""Which part of a batch a process reads, and each of its replicas gets, when several share it."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from recipes.data import Batch, Ragged, Split

Block = tuple[Batch, int, int]
"""Rows of a batch, where in the batch they begin, and how many rows the whole batch has."""


@dataclasses.dataclass(frozen=True)
class Portion:
    """The part of each batch that a process reads: that of some replicas of all.

    Attributes:
        replicas: How many share each batch, in order of its rows.
        first: The first of this process.
        here: How many there are in this process.
    """

    replicas: int
    first: int
    here: int

    def rows(self, total: int) -> tuple[int, int]:
        """Says which rows this process reads.

        Args:
            total: Rows of the batch.

        Returns:
            Start and stop; at least one row, so that no model runs on nothing.
        """
        start = min(self.first * total // self.replicas, total - 1)
        return start, max(start + 1, (self.first + self.here) * total // self.replicas)

    def of(self, replica: Any, batch: Any, start: Any, total: Any) -> tuple[Any, Any]:
        """Cuts out what one replica gets.

        Args:
            replica: Which, of all.
            batch: Rows of a batch, as tensors.
            start: Where they begin.
            total: Rows of the whole batch.

        Returns:
            The batch's rows, and for each 1; where there is none for it, any row and 0.
        """
        begin, end = (each * total // self.replicas - start for each in (replica, replica + 1))
        rows = tf.shape(batch[1], tf.int64)[0]
        at = tf.minimum(begin, rows - 1)
        count = tf.maximum(end - begin, 1)
        mine = tf.nest.map_structure(lambda tensor: tensor[at : at + count], batch)
        return mine, tf.fill([count], tf.cast(end > begin, tf.float32))


def own_rows(part: Split, rows: np.ndarray, start: int, stop: int) -> Batch:
    """Makes some rows of a batch, as long as they are in the whole batch.

    Args:
        part: The part of the data.
        rows: The examples of the whole batch.
        start: The first of them that is wanted.
        stop: Behind the last.

    Returns:
        Their batch.
    """
    if stop - start == len(rows):
        return part.batch(rows)
    columns = [*part.inputs.values(), *vars(part).values()]
    longest = {int(rows[column.lengths[rows].argmax()]) for column in columns if isinstance(column, Ragged)}
    made = part.batch(np.concatenate([rows[start:stop], np.array(sorted(longest), rows.dtype)]))
    return cut(made, slice(stop - start))


def cut(batch: Batch, rows: slice) -> Batch:
    """Keeps some rows of a batch.

    Args:
        batch: Inputs, targets, weights.
        rows: Which.

    Returns:
        The same of these rows.
    """
    inputs, targets, weights = batch
    inputs = {name: array[rows] for name, array in inputs.items()}
    return inputs, targets[rows], None if weights is None else weights[rows]
