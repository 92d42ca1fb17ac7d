from typing import Any

import keras
from keras import ops

from zoo.layers.attention_cell import AttentionCell


@keras.saving.register_keras_serializable(package="seqzoo")
class AttentionRNN(keras.layers.RNN):  # type: ignore[misc]  # keras ships no types
    """Runs an `AttentionCell` over a sequence, with the source that it attends to (Bahdanau 2015, Luong 2015).

    (batch, target_time, features), and the source as keys, values and mask as `GlobalAttention` takes it, to the
    attentional vectors (batch, target_time, units) and the weights (batch, target_time, source_time). The attentional
    vector starts at zero; `initial_state` holds the states of the cells. References: arXiv:1409.0473, arXiv:1508.04025.
    """

    def __init__(self, cell: AttentionCell, **options: Any) -> None:
        """Makes the layer.

        Args:
            cell: An `AttentionCell`.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(cell, **{**options, "return_sequences": True, "return_state": False})

    def build(
        self,
        sequences_shape: tuple[int | None, ...],
        keys_shape: tuple[int | None, ...],
        values_shape: tuple[int | None, ...],
        valid_shape: tuple[int | None, ...],
        initial_state_shape: Any = None,
    ) -> None:
        """Makes the weights of the cell."""
        super().build(sequences_shape)
        if not self.cell.attention.built:
            queries = (*sequences_shape[:2], self.cell.units)
            self.cell.attention.build(queries, keys_shape, values_shape, valid_shape)
            self.cell.attention.built = True

    def call(
        self,
        sequences: Any,
        keys: Any,
        values: Any,
        valid: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Runs over time; masked steps keep their states."""
        states = self.first_states(sequences, initial_state)
        self.cell.attend(keys, values, valid)
        try:
            outputs = super().call(sequences, initial_state=states, mask=mask, training=training)
        finally:
            self.cell.forget()
        return self._split(outputs, keys, values, valid)

    def first_states(self, sequences: Any, initial_state: Any = None) -> list[Any]:
        """Gives the states before the first step.

        Args:
            sequences: Any tensor with the batch in front.
            initial_state: The states of the cells; None: zeros.

        Returns:
            The states of the `AttentionCell`.
        """
        zeros = self.get_initial_state(ops.shape(sequences)[0])
        return zeros if initial_state is None else [zeros[0], *initial_state]

    def step(self, x: Any, states: list[Any], keys: Any, values: Any, valid: Any) -> tuple[tuple[Any, Any], list[Any]]:
        """Takes one step outside of training.

        Args:
            x: (batch, features).
            states: As `first_states` gives them.
            keys: See `call`, as are `values` and `valid`.
            values: See `call`.
            valid: See `call`.

        Returns:
            What `call` gives, with one step in time, and the states.
        """
        self.cell.attend(keys, values, valid)
        try:
            output, states = self.cell(x, states, training=False)
        finally:
            self.cell.forget()
        return self._split(ops.expand_dims(output, 1), keys, values, valid), states

    def _split(self, outputs: Any, keys: Any, values: Any, valid: Any) -> tuple[Any, Any]:
        attentional, queries = ops.split(outputs, 2, axis=-1)
        # The loop keeps no weights: their number changes from call to call. One product for all steps gives them again.
        return attentional, self.cell.attention(queries, keys, values, valid)[1]

    def _maybe_config_dropout_masks(self, cell: Any, sequence: Any, state: Any) -> None:
        if cell is not self.cell:
            super()._maybe_config_dropout_masks(cell, sequence, state)
            return
        # One mask a sequence for each cell of the stack, made before the loop.
        # Only the form counts: one mask for what the lowest cell reads, the vector beside the input included.
        beside = ops.zeros_like(sequence[:, :1]) * ops.ones((cell.context_size or cell.units,), sequence.dtype)
        x, start = ops.concatenate([sequence, beside], axis=-1), 1
        for inner in cell.cells:
            super()._maybe_config_dropout_masks(inner, x, state[start:])
            x, start = state[start], start + len(keras.tree.flatten(inner.state_size))

    def _maybe_reset_dropout_masks(self, cell: Any) -> None:
        for inner in getattr(cell, "cells", [cell]):
            super()._maybe_reset_dropout_masks(inner)

    def compute_output_spec(self, sequences: Any, keys: Any, values: Any, valid: Any, **others: Any) -> Any:
        """Gives the form of the attentional vectors and of the weights."""
        shape = (*sequences.shape[:2], self.cell.units)
        weights = keras.KerasTensor((*sequences.shape[:2], keys.shape[1]), dtype="float32")
        return keras.KerasTensor(shape, dtype=self.compute_dtype), weights

    def compute_mask(self, sequences: Any, mask: Any = None) -> list[Any]:
        """Hands on the mask of the sequence."""
        return [mask, mask]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        config = super().get_config()
        return {key: value for key, value in config.items() if key not in ("return_sequences", "return_state")}
