from typing import Any, ClassVar, Literal

import keras
from keras import ops

from zoo.indexing import take_rows

Composition = Literal["n_ary", "child_sum"]
"""Whether each child's place has weights of its own, or the children's states are added up."""


class TreeCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """What cells of trees share: the states of all nodes, of which one step computes the nodes of one level.

    A step reads, for each slot of the level, what the node itself reads (already projected), the numbers of its
    children and its own number, side by side as float32, which holds whole numbers exactly up to 2^24.
    """

    gates: ClassVar[int]
    """How many blocks of `units` columns the input's projection has."""
    memory: ClassVar[bool] = False
    """Whether there is a cell state c beside the hidden state h."""

    def __init__(self, units: int, arity: int = 2, composition: Composition = "n_ary", **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of each state.
            arity: The most children of a node.
            composition: `"n_ary"` tells the children apart by their place, `"child_sum"` adds their states.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: Another composition.
        """
        # No autocast: half precision would round the numbers of the nodes.
        super().__init__(**{**options, "autocast": False})
        if composition not in ("n_ary", "child_sum"):
            raise ValueError(f"composition must be 'n_ary' or 'child_sum', got {composition!r}")
        self.units, self.arity, self.composition = units, arity, composition
        self.state_size = units * (1 + self.memory)
        self.output_size = 1

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

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one level: entries (batch, width, gates x units + arity + 1) and [states], (batch, nodes, state)."""
        (state,), width = states, self.gates * self.units
        if keras.backend.backend() != "jax":  # which compiles for fixed shapes
            # A level is as wide as the widest one of the batch: most have far fewer nodes, the root's has one.
            count = ops.max(ops.sum(ops.cast(inputs[..., -1] > 0, "int32"), axis=1))
            inputs = ops.take(inputs, ops.arange(ops.maximum(count, 1)), axis=1)
        numbers = ops.cast(inputs[..., width:], "int32")
        below, mine = numbers[..., :-1], numbers[..., -1:]
        z = ops.reshape(ops.cast(inputs[..., :width], self.compute_dtype), (-1, width))
        # (batch, width, arity, state) -> (batch x width, arity, state) -> (batch, width, state)
        children = ops.reshape(take_rows(state, below), (-1, self.arity, self.state_size))
        level = ops.reshape(self.compose(z, children), (-1, ops.shape(mine)[1], self.state_size))
        # (batch, nodes): a level's nodes stand together, so that a node's slot follows from its number.
        node = ops.cumsum(ops.ones_like(state[..., 0], dtype="int32"), axis=1) - 1
        slot = ops.clip(node - mine[:, 0], 0, ops.shape(mine)[1] - 1)
        written = ops.logical_and(node > 0, ops.equal(take_rows(mine, slot)[..., 0], node))
        new = ops.where(ops.expand_dims(written, -1), take_rows(level, slot), state)
        # A loop wants its states' shapes as they came, also where a level's width is open.
        return inputs[:, 0, :1], [ops.reshape(new, ops.shape(state))]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "arity": self.arity, "composition": self.composition}
