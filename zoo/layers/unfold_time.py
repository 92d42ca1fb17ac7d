from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class UnfoldTime(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Undoes `FoldTime`: [(batch x time, features), (batch, time, ...)] -> (batch, time, features).

    With a mask value, steps whose entries all equal it are masked from here on.
    """

    def __init__(self, mask_value: float | None = None, **options: Any) -> None:
        """Makes the layer.

        Args:
            mask_value: What padded steps of the second input are filled with; None if there is no padding.
            **options: Further arguments of `keras.layers.Layer`.
        """
        # No autocast: rounded to half precision, a step may equal a value that it does not have.
        super().__init__(**{**options, "autocast": False})
        self.mask_value = mask_value
        self.supports_masking = True

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Unfolds the first input to the second one's batch and time."""
        folded, steps = inputs
        return ops.reshape(folded, (-1, ops.shape(steps)[1], folded.shape[-1]))

    def compute_mask(self, inputs: tuple[Any, Any], mask: Any = None) -> Any:
        """Finds the steps that are no padding: (batch, time)."""
        if self.mask_value is None:
            return None
        steps = inputs[1]
        return ops.any(ops.not_equal(steps, self.mask_value), axis=tuple(range(2, len(steps.shape))))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Gives (batch, time, features)."""
        return (*input_shape[1][:2], input_shape[0][-1])

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "mask_value": self.mask_value}
