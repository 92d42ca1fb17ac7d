from typing import Any

import keras


@keras.saving.register_keras_serializable(package="seqzoo")
class EveryNth(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Keeps the steps 0, n, 2n ... of a sequence, and their mask.

    (batch, time, features) -> (batch, time / n, features), the quotient rounded up.

    Attributes:
        time_period: n; by this name, whatever runs the layer on a sequence in chunks knows what it keeps.
    """

    def __init__(self, period: int, **options: Any) -> None:
        """Makes the layer.

        Args:
            period: n.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.time_period = period
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Thins out."""
        return inputs[:, :: self.time_period]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Thins the mask out alike."""
        return None if mask is None else mask[:, :: self.time_period]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Divides the time axis, rounding up."""
        batch, time, *rest = input_shape
        return (batch, None if time is None else -(-time // self.time_period), *rest)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "period": self.time_period}
