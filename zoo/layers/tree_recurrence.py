from typing import Any

import keras
from keras import ops

from zoo.indexing import take_rows
from zoo.layers.tree_cell import TreeCell


@keras.saving.register_keras_serializable(package="seqzoo")
class TreeRecurrence(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Runs a cell over a batch of trees of any shapes, level by level: as many steps as the deepest tree has levels.

    All leaves of all trees are one matrix product, all nodes of one level another. Inputs, as `zoo.trees.pack_trees`
    makes them: what nodes read (batch, nodes, features), `children` (batch, nodes, arity), `schedule`
    (batch, levels, width). Node 0 is nobody, its state zero; the nodes of one level of a tree stand together in
    increasing order; zeros pad. A mask of the first input says which nodes read something.

    A step is as wide as the widest tree of the batch at that level. XLA wants fixed widths: JAX runs every step at the
    schedule's; on TensorFlow Keras is told that the layer is not for XLA, and compiles without it.

    Outputs: the states h of the roots (batch, units), and of all nodes (batch, nodes, units).
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
            cell, return_state=True, dtype=self.dtype_policy, autocast=False, name="levels"
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

    def call(self, inputs: list[Any], mask: list[Any] | None = None) -> tuple[Any, Any]:
        """Computes every node."""
        x, children, schedule = inputs
        cell, nodes = self.cell, ops.shape(x)[1]
        if mask is not None and mask[0] is not None:
            x = x * ops.expand_dims(ops.cast(mask[0], x.dtype), -1)
        # (batch, nodes, features) -> (batch, nodes, gates x units)
        z = cell.project(ops.reshape(x, (-1, x.shape[-1])))
        width = z.shape[-1]
        leaves = self._leaves(z, nodes)
        # (batch, levels, slots, gates x units + arity + 1), float32 for the sake of the numbers
        entries = ops.concatenate(
            [
                take_rows(ops.reshape(ops.cast(z, "float32"), (-1, nodes, width)), schedule),
                ops.cast(take_rows(children, schedule), "float32"),
                ops.cast(ops.expand_dims(schedule, -1), "float32"),
            ],
            axis=-1,
        )
        _, states = self.recurrence(entries, initial_state=[leaves])
        h = states[..., : cell.units]
        root = ops.maximum(ops.max(ops.max(schedule, axis=-1), axis=-1), 1)
        return take_rows(h, ops.expand_dims(root, -1))[:, 0], h

    def _leaves(self, z: Any, nodes: Any) -> Any:
        """Every node as if it had no children; those that have some are computed later. Node 0 stays zero."""
        states = ops.reshape(self.cell.compose(z, None), (-1, nodes, self.cell.state_size))
        somebody = ops.cumsum(ops.ones_like(states[..., :1]), axis=1) > 1
        return ops.where(somebody, states, ops.zeros_like(states))

    def compute_mask(self, inputs: list[Any], mask: Any = None) -> tuple[None, None]:
        """Every state is one to use."""
        return None, None

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TreeRecurrence":
        """Makes the layer from its configuration."""
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})
