from typing import Any, Literal

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class MaskedPooling(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """The mean or the maximum over the steps that are no padding.

    (batch, time, features) -> (batch, features); zeros for a row that is all padding. Keras's own average divides by
    zero there, and its maximum doesn't look at the mask.

    Equation:
        mean: sum_t m_t x_t / max(1, sum_t m_t);  max: max over the t with m_t = 1 of x_t
    """

    def __init__(self, mode: Literal["mean", "max"], **options: Any) -> None:
        """Makes the layer.

        Args:
            mode: `"mean"` or `"max"`.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: Another mode.
        """
        super().__init__(**options)
        if mode not in ("mean", "max"):
            raise ValueError(f"mode must be 'mean' or 'max', got {mode!r}")
        self.mode = mode
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pools over time."""
        if mask is None:
            return ops.mean(inputs, axis=1) if self.mode == "mean" else ops.max(inputs, axis=1)
        valid = ops.expand_dims(mask, -1)
        if self.mode == "mean":
            # float32 at least: half precision can't count the steps of a long sequence.
            wide = keras.backend.result_type(inputs.dtype, "float32")
            weight = ops.cast(valid, wide)
            total = ops.sum(ops.cast(inputs, wide) * weight, axis=1)
            return ops.cast(total / ops.maximum(ops.sum(weight, axis=1), 1), inputs.dtype)
        lowest = ops.full_like(inputs, -6e4 if inputs.dtype == "float16" else -3e38)
        highest = ops.max(ops.where(valid, inputs, lowest), axis=1)
        return ops.where(ops.any(valid, axis=1), highest, ops.zeros_like(highest))

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """There is no time axis left to mask."""
        return

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Drops the time axis."""
        return input_shape[0], input_shape[-1]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "mode": self.mode}
