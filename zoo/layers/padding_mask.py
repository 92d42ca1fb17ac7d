from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class PaddingMask(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Says which steps of a sequence of token ids are no padding: (batch, time) integers to (batch, time) bool.

    Keras carries masks beside the tensors, where a cut through the model loses them. A decoder that runs on its own,
    away from its encoder, needs the source's mask as a tensor.
    """

    def __init__(self, **options: Any) -> None:
        """Makes the layer.

        Args:
            **options: Arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Compares with id 0."""
        return ops.not_equal(inputs, 0)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Gives the form of the mask."""
        return keras.KerasTensor(inputs.shape, dtype="bool")
