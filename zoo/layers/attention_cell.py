from typing import Any

import keras
from keras import ops

from zoo.layers.global_attention import GlobalAttention, Score


@keras.saving.register_keras_serializable(package="seqzoo")
class AttentionCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A stack of cells whose lowest one also reads what attention found, with the new state or with the last one.

    The source that it attends to is set by `attend`, before the loop over time starts: it is the same at every step.

    Equation, look and mix as `GlobalAttention` has them:
        new state (Luong et al. 2015, section 3.3): h_t = cells([x_t, y_{t-1}], h_{t-1});  c_t = look(h_t);  y_0 = 0
        last state (Bahdanau et al. 2015, section 3.1): c_t = look(h_{t-1});  h_t = cells([x_t, c_t], h_{t-1})
        y_t = mix(c_t, h_t)

    Output: y_t and the state that looked, side by side, (batch, 2 units).
    States: the output, as Keras wants the first state to be, and those of the cells.
    References: arXiv:1508.04025, arXiv:1409.0473.
    """

    def __init__(self, cells: Any, score: Score = "additive", context_size: int | None = None, **options: Any) -> None:
        """Makes the cell.

        Args:
            cells: Keras cells, from the input up.
            score: See `GlobalAttention`.
            context_size: Width of the source's values, where the last state looks; None: the new state looks.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.cells = [keras.saving.deserialize_keras_object(cell) if isinstance(cell, dict) else cell for cell in cells]
        self.attention = GlobalAttention(score, name="attention", dtype=self.dtype_policy)
        self.context_size = context_size
        self.units = self.cells[-1].units
        self.output_size = 2 * self.units
        self.state_size = [self.output_size, *(size for cell in self.cells for size in _sizes(cell))]
        self._source: tuple[Any, Any, Any] | None = None

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the weights of the cells; those of the attention wait for the source."""
        width: Any = input_shape[-1] + (self.context_size or self.units)
        for cell in self.cells:
            if not cell.built:
                cell.build((None, width))
                cell.built = True
            width = cell.units

    def attend(self, keys: Any, values: Any, valid: Any) -> None:
        """Sets the source for the steps to come.

        Args:
            keys: (batch, source_time, units).
            values: (batch, source_time, width).
            valid: (batch, source_time) bool.
        """
        self._source = keys, values, valid

    def forget(self) -> None:
        """Lets go of the source, a tensor of one call."""
        self._source = None

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and the states to the output and the states."""
        if self._source is None:
            raise ValueError(f"{self.name} has no source: call attend(keys, values, valid) before a step")
        last, *flat = states
        # The first state of every cell is h.
        query = flat[-len(_sizes(self.cells[-1]))]
        if self.context_size is None:
            x, new = self._step(inputs, last[:, : self.units], flat, training)
            query, context = x, self._look(x, self._source)
        else:
            context = self._look(query, self._source)
            x, new = self._step(inputs, context, flat, training)
        output = ops.concatenate([self.attention.mix(context, x), query], axis=-1)
        return output, [output, *new]

    def _look(self, query: Any, source: tuple[Any, Any, Any]) -> Any:
        # (batch, units) -> (batch, 1, units) -> (batch, width)
        return ops.squeeze(self.attention.look(ops.expand_dims(query, 1), *source)[0], 1)

    def _step(self, inputs: Any, beside: Any, flat: list[Any], training: bool) -> tuple[Any, list[Any]]:
        x = ops.concatenate([inputs, beside], axis=-1)
        new: list[Any] = []
        for cell in self.cells:
            count = len(_sizes(cell))
            own, flat = flat[:count], flat[count:]
            x, after = cell(x, own, training=training)
            new += after if isinstance(after, (list, tuple)) else [after]
        return x, new

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Gives zeros, one tensor (batch, size) for each state."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        cells = [keras.saving.serialize_keras_object(cell) for cell in self.cells]
        return {
            **super().get_config(),
            "cells": cells,
            "score": self.attention.score,
            "context_size": self.context_size,
        }


def _sizes(cell: Any) -> list[int]:
    return list(cell.state_size) if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
