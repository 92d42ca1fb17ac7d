from typing import Any

import keras
from keras import ops

from zoo.indexing import kept_rows, take_rows
from zoo.layers.tree_cell import TreeCell


@keras.saving.register_keras_serializable(package="seqzoo")
class TreeRecurrence(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Runs a cell over a batch of trees of any shapes, level by level: as many steps as the deepest tree has levels.

    All leaves of all trees are one matrix product, all nodes of one level another, and nothing is computed for padding.
    Inputs, as `zoo.trees.pack_trees` makes them: what nodes read (batch, nodes, features), `children`
    (batch, nodes, arity), `schedule` (batch, levels, width). Node 0 is nobody; the leaves have the lowest numbers, the
    nodes of a level follow those of the level below, and a node's children are leaves or stand at the level below;
    zeros pad. A mask of the first input says which nodes read something.

    How many nodes a level has differs from call to call, and XLA wants fixed sizes: JAX computes every slot of the
    schedule; on TensorFlow Keras is told that the layer is not for XLA, and compiles without it.

    Outputs: the states h of the roots (batch, units), and with the cell's `return_nodes` those of all nodes
    (batch, nodes, units).
    """

    def __init__(self, cell: TreeCell, **options: Any) -> None:
        """Makes the layer.

        Args:
            cell: What computes a node from its children.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.supports_masking = True
        self.supports_jit = keras.config.backend() != "tensorflow"
        self.recurrence = keras.layers.RNN(
            cell,
            return_state=True,
            dtype=self.dtype_policy,
            autocast=False,
            name="levels",
        )

    @property
    def cell(self) -> TreeCell:
        """What computes a node from its children."""
        cell: TreeCell = self.recurrence.cell
        return cell

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Makes the cell's weights."""
        if not self.cell.built:
            self.cell.build(input_shape[0])
            self.cell.built = True

    def call(self, inputs: list[Any], mask: list[Any] | None = None) -> Any:
        """Computes every node."""
        x, children, schedule = inputs
        if mask is not None and mask[0] is not None:
            x = x * ops.expand_dims(ops.cast(mask[0], x.dtype), -1)
        nodes, x = ops.shape(x)[1], ops.reshape(x, (-1, x.shape[-1]))
        leaves, leaf = _leaves(x, children, schedule)
        # (batch, 1, 1): which tree of the batch
        tree = ops.reshape(_numbers(schedule[:, 0, 0], axis=0), (-1, 1, 1))
        number = ops.reshape(tree * nodes + ops.clip(schedule, 0, nodes - 1), (-1,))
        read, row = self._read(x, number, ops.reshape(schedule > 0, (-1,)))
        slots = ops.stack([schedule, ops.reshape(row, ops.shape(schedule))], axis=-1)
        entries = ops.concatenate([slots, _child_places(children, schedule, leaf, tree)], axis=-1)
        # float32 for the sake of the numbers
        entries = ops.cast(entries, "float32")
        self.cell.attend(leaves, read)
        try:
            _, top, *kept = self.recurrence(entries, initial_state=self._start(leaves, leaf, schedule))
        finally:
            self.cell.forget()
        h = top[:, 0, : self.cell.units]
        return (h, *kept) if self.cell.return_nodes else h

    def _read(self, x: Any, number: Any, there: Any) -> tuple[Any, Any]:
        """-> what the nodes above the leaves read, projected, and the row of it for each slot (slots).

        Most read nothing: they share the first row.
        """
        reads = ops.cast(ops.any(ops.not_equal(x, 0), axis=-1), "int32")
        reads = ops.logical_and(there, ops.take(reads, number) > 0)
        rows, row = kept_rows(reads)
        read = self.cell.project(ops.take(x, ops.take(number, rows), axis=0))
        return ops.concatenate([self.cell.project(ops.zeros_like(x[:1])), read], axis=0), ops.where(reads, row + 1, 0)

    def _start(self, leaves: Any, leaf: Any, schedule: Any) -> list[Any]:
        """-> the states before the first level. A tree of one leaf has no other: the leaf's state is its root's."""
        # Node 0 is none, so that this is node 1's row.
        only = ops.maximum(ops.max(leaf[:, :2], axis=1) - 1, 0)
        level = ops.expand_dims(self.cell.leaves(ops.take(leaves, only, axis=0)), 1)
        level = level * ops.expand_dims(ops.ones_like(schedule[:, 0], dtype=level.dtype), -1)
        if not self.cell.return_nodes:
            return [level]
        h = self.cell.leaves(leaves)[:, : self.cell.units]
        h = ops.concatenate([ops.zeros_like(h[:1]), h], axis=0)
        return [level, ops.take(h, leaf, axis=0)]

    def compute_mask(self, inputs: list[Any], mask: Any = None) -> Any:
        """Every state is one to use."""
        return (None, None) if self.cell.return_nodes else None

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TreeRecurrence":
        """Makes the layer from its configuration."""
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


def _numbers(like: Any, axis: int) -> Any:
    """0, 1, 2 ... along an axis."""
    return ops.cumsum(ops.ones_like(like, dtype="int32"), axis=axis) - 1


def _leaves(x: Any, children: Any, schedule: Any) -> tuple[Any, Any]:
    """-> what the leaves read (leaves, features), and 1 + the row of it for each node (batch, nodes), 0 for no leaf."""
    root = ops.maximum(ops.max(ops.max(schedule, axis=-1), axis=-1, keepdims=True), 1)
    number = _numbers(children[..., 0], axis=1)
    leaf = ops.logical_and(number > 0, number <= root)
    leaf = ops.logical_and(leaf, ops.equal(ops.max(children, axis=-1), 0))
    rows, row = kept_rows(ops.reshape(leaf, (-1,)))
    return ops.take(x, rows, axis=0), ops.where(leaf, ops.reshape(row, ops.shape(leaf)) + 1, 0)


def _child_places(children: Any, schedule: Any, leaf: Any, tree: Any) -> Any:
    """Where each slot's children stand, (batch, levels, width, arity): see `TreeCell`."""
    first, width = schedule[:, :, :1], ops.shape(schedule)[2]
    # (batch, levels, 1, 1): the first node of the level below, 0 where there is none
    before = ops.expand_dims(ops.concatenate([ops.zeros_like(first[:, :1]), first], axis=1)[:, :-1], -1)
    number = take_rows(children, schedule)
    slot = ops.clip(number - before, 0, width - 1)
    at_level = ops.logical_and(before > 0, number >= before)
    return ops.where(
        at_level, -1 - ops.expand_dims(tree, -1) * width - slot, take_rows(ops.expand_dims(leaf, -1), number)[..., 0]
    )
