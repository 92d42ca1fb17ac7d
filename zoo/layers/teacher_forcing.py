from typing import Any

import keras
from keras import ops

from zoo.layers.output_recurrent_cell import OutputRecurrentCell, Recurrence


@keras.saving.register_keras_serializable(package="seqzoo")
class TeacherForcing(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Runs an `OutputRecurrentCell` with the true outputs in place of its own: all steps at once, without a loop.

    Called with [x, y], (batch, time, features) and (batch, time, targets), it gives o (batch, time, targets); o_t sees
    y_{t-1}, zeros at the first step. Its weights are those of `keras.layers.RNN` around the same cell, in that order.
    Padding stands on the left or on the right, not between.
    """

    def __init__(self, units: int, targets: int, recurrence: Recurrence, **options: Any) -> None:
        """Makes the layer and its cell.

        Args:
            units: Width of the hidden layer.
            targets: Width of the output.
            recurrence: `"output-to-hidden"` or `"output-to-output"`.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: No output comes back, so there is none to replace.
        """
        super().__init__(**options)
        if recurrence == "hidden-to-hidden":
            raise ValueError("teacher forcing replaces an output that comes back; hidden-to-hidden has none")
        self.cell = OutputRecurrentCell(units, targets, recurrence, dtype=self.dtype_policy)
        self.supports_masking = True

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Builds the cell."""
        self.cell.build(input_shape[0])

    def call(self, inputs: tuple[Any, Any], mask: Any = None) -> Any:
        """Computes every step at once."""
        x, true = inputs
        if mask is not None and mask[0] is not None:
            # What stands at padding is no output: after padding on the left, too, the first step sees zeros.
            true = true * ops.cast(ops.expand_dims(mask[0], -1), true.dtype)
        previous = ops.concatenate([ops.zeros_like(true[:, :1]), true[:, :-1]], axis=1)
        return self.cell.step(x, previous)[1]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Hands the mask of x on."""
        return None if mask is None else mask[0]

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Gives (batch, time, targets)."""
        return (*input_shape[0][:-1], self.cell.targets)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        own = {"units": self.cell.units, "targets": self.cell.targets, "recurrence": self.cell.recurrence}
        return {**super().get_config(), **own}
