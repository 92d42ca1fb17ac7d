"""The two recurrences of a linear chain, as cells: whatever runs or exports `keras.layers.RNN` runs these."""

from collections.abc import Callable
from typing import Any, Literal

import keras
from keras import ops

from zoo.indexing import largest


class ChainCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """One step of a chain: the best (or the summed) score of all paths into each tag.

    States: the score of each tag (batch, classes), and whether the chain has begun (batch, 1), 0 or 1: the first valid
    step takes the start scores, wherever it stands.
    """

    def __init__(
        self, classes: int, chain: Callable[[], tuple[Any, Any]], reduce: Literal["max", "sum"], **options: Any
    ) -> None:
        """Makes the cell.

        Args:
            classes: Number of tags.
            chain: Gives the start scores (classes) and the transition scores (from, to); their owner trains them.
            reduce: Whether paths compete or add up.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.classes = classes
        self.chain = chain
        self.reduce = reduce
        self.state_size = [classes, 1]
        self.output_size = classes

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes emissions (batch, classes) to the tag each best path came from, as numbers (or to the scores)."""
        score, started = states
        start, transitions = self.chain()
        # (batch, from, 1) + (from, to) -> (batch, from, to)
        through = ops.expand_dims(score, 2) + transitions
        into = ops.max(through, axis=1) if self.reduce == "max" else ops.logsumexp(through, axis=1)
        score = inputs + ops.where(started > 0, into, ops.zeros_like(into) + start)
        # (batch, from, to) -> (batch, to, from) -> (batch, to)
        best = largest(ops.transpose(through, (0, 2, 1))) if self.reduce == "max" else score
        return ops.cast(best, score.dtype), [score, ops.ones_like(started)]


class BacktrackCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """One step back along the best path. State: the tag at this step, one-hot (batch, classes)."""

    def __init__(self, classes: int, **options: Any) -> None:
        """Makes the cell.

        Args:
            classes: Number of tags.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.state_size = self.output_size = self.classes = classes

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes the origins of the best paths (batch, classes) to this step's tag; the state moves to its origin."""
        tag = states[0]
        origin = ops.cast(ops.round(ops.sum(inputs * tag, axis=-1)), "int32")
        return tag, [ops.one_hot(origin, self.classes, dtype=tag.dtype)]
