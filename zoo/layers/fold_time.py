from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class FoldTime(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Makes every step a sample of its own: (batch, time, ...) -> (batch x time, ...).

    One convolution then serves all frames at once; `keras.layers.TimeDistributed` does it too, but its exported graph
    is wrong where the time axis is dynamic.
    """

    def call(self, inputs: Any) -> Any:
        """Folds."""
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Drops the time axis."""
        return (None, *input_shape[2:])
