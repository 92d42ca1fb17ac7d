from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class AppendContext(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Puts one vector beside every step of a sequence (Cho et al. 2014, arXiv:1406.1078).

    (batch, time, features), (batch, size) -> (batch, time, features + size); the mask of the sequence travels on.
    """

    def __init__(self, **options: Any) -> None:
        """Makes the layer.

        Args:
            **options: Arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.supports_masking = True

    def call(self, inputs: Any, context: Any) -> Any:
        """Repeats the vector along time."""
        repeated = ops.expand_dims(context, 1) * ops.ones_like(inputs[:, :, :1])
        return ops.concatenate([inputs, repeated], axis=-1)

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """Adds the vector's size to the features."""
        return (*inputs_shape[:-1], inputs_shape[-1] + context_shape[-1])  # type: ignore[operator]  # sizes are known
