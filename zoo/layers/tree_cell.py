from typing import Any, ClassVar, Literal

import keras
from keras import ops

from zoo.indexing import kept_rows, take_rows

Composition = Literal["n_ary", "child_sum"]
"""Whether each child's place has weights of its own, or the children's states are added up."""


class TreeCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """What cells of trees share: a step computes the nodes of one level from the leaves and the level below.

    What the leaves and the other nodes read is the same at every step: `attend` sets it before the loop. A step gets,
    for each slot of the level, numbers side by side as float32, which holds them exactly up to 2^24: the node that
    stands there (0: none), its row in what nodes read, and of each child n > 0 for the leaf of row n - 1, n < 0 for
    slot -n - 1 of the level below, all trees' slots counted on; 0 for none.

    States: the level below (batch, width, state), and with `return_nodes` h of all nodes (batch, nodes, units).
    """

    gates: ClassVar[int]
    """How many blocks of `units` columns the input's projection has."""
    memory: ClassVar[bool] = False
    """Whether there is a cell state c beside the hidden state h."""

    def __init__(
        self,
        units: int,
        arity: int = 2,
        composition: Composition = "n_ary",
        return_nodes: bool = False,
        **options: Any,
    ) -> None:
        """Makes the cell.

        Args:
            units: Width of each state.
            arity: The most children of a node.
            composition: `"n_ary"` tells the children apart by their place, `"child_sum"` adds their states.
            return_nodes: Whether the states of all nodes are kept, not only those of a level.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: Another composition.
        """
        # No autocast: half precision would round the numbers of the nodes.
        super().__init__(**{**options, "autocast": False})
        if composition not in ("n_ary", "child_sum"):
            raise ValueError(f"composition must be 'n_ary' or 'child_sum', got {composition!r}")
        self.units, self.arity, self.composition, self.return_nodes = units, arity, composition, return_nodes
        self.width = units * (1 + self.memory)
        self.state_size = [self.width, units] if return_nodes else [self.width]
        self.output_size = 1
        self._source: tuple[Any, Any] | None = None

    def make_weights(self, features: int, bias: Any, recurrent_shape: tuple[int, int]) -> None:
        """Makes the weights.

        Args:
            features: Size of what a node reads.
            bias: The bias' initialiser.
            recurrent_shape: Of the weights that the children's states meet.
        """
        width = self.gates * self.units
        self.kernel = self.add_weight(shape=(features, width), name="kernel", initializer="glorot_uniform")
        self.recurrent_kernel = self.add_weight(
            shape=recurrent_shape, name="recurrent_kernel", initializer="glorot_uniform"
        )
        self.bias = self.add_weight(shape=(width,), name="bias", initializer=bias)

    def cast(self, weight: Any) -> Any:
        """Gives a weight in the precision that the cell computes in."""
        return ops.cast(weight, self.compute_dtype)

    def project(self, x: Any) -> Any:
        """Maps what nodes read, (rows, features), to (rows, gates x units)."""
        return ops.matmul(x, self.cast(self.kernel)) + self.cast(self.bias)

    def compose(self, z: Any, children: Any) -> Any:
        """Computes nodes from their children.

        Args:
            z: What they read, projected, (rows, gates x units).
            children: (rows, arity, state), h and perhaps c side by side; zeros for a child that isn't there. None: no
                node has any.

        Returns:
            Their states, (rows, state).
        """
        raise NotImplementedError

    def leaves(self, x: Any) -> Any:
        """Computes leaves from what they read: (rows, features) to (rows, state)."""
        return self.compose(self.project(x), None)

    def attend(self, leaves: Any, read: Any) -> None:
        """Sets what every step refers to.

        Args:
            leaves: What the leaves read, (leaves, features).
            read: What the other nodes read, projected, (rows, gates x units).
        """
        self._source = leaves, read

    def forget(self) -> None:
        """Lets go of the tensors of one call."""
        self._source = None

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one level: numbers (batch, width, 2 + arity) and the states to nothing to use and the states.

        A tree that has no nodes at this level keeps its states.
        """
        if self._source is None:
            raise ValueError(f"{self.name} has no leaves: call attend(leaves, read) before a step")
        (below, *nodes), (leaves, read) = states, self._source
        numbers = ops.reshape(ops.cast(inputs, "int32"), (-1, 2 + self.arity))
        # Most slots are empty, for a level is as wide as the widest one of the batch: only the others are computed.
        there = numbers[:, 0] > 0
        rows, place = kept_rows(there)
        numbers, flat = ops.take(numbers, rows, axis=0), ops.reshape(below, (-1, self.width))
        children = self._children(leaves, flat, numbers[:, 2:])
        new = self.compose(ops.take(read, numbers[:, 1], axis=0), children)
        level = ops.where(ops.expand_dims(there, -1), ops.take(new, place, axis=0), flat)
        # A loop wants its states' shapes as they came.
        level = ops.reshape(level, ops.shape(below))
        return inputs[:, 0, :1], [level, *(self._written(h, level, inputs) for h in nodes)]

    def _children(self, leaves: Any, below: Any, place: Any) -> Any:
        """Reads children, (rows, arity) -> (rows, arity, state); a leaf is computed where its parent needs it."""
        place = ops.reshape(place, (-1,))
        rows, row = kept_rows(place > 0)
        states = self.leaves(ops.take(leaves, ops.maximum(ops.take(place, rows) - 1, 0), axis=0))
        table = ops.concatenate([ops.zeros_like(below[:1]), states, below], axis=0)
        found = ops.where(place > 0, row + 1, ops.where(place < 0, ops.shape(states)[0] - place, 0))
        return ops.reshape(ops.take(table, found, axis=0), (-1, self.arity, self.width))

    def _written(self, h: Any, level: Any, inputs: Any) -> Any:
        """Writes a level to the states of all nodes: it stands together, so that a slot follows from a number."""
        mine = ops.cast(inputs[..., :1], "int32")
        node = ops.cumsum(ops.ones_like(h[..., 0], dtype="int32"), axis=1) - 1
        slot = ops.clip(node - mine[:, 0], 0, ops.shape(mine)[1] - 1)
        written = ops.logical_and(node > 0, ops.equal(take_rows(mine, slot)[..., 0], node))
        new = ops.where(ops.expand_dims(written, -1), take_rows(level[..., : self.units], slot), h)
        return ops.reshape(new, ops.shape(h))

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        names = ("units", "arity", "composition", "return_nodes")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
