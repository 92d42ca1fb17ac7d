from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class ShiftedOneHot(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """What a model knows of its outputs at each step: the label before, one-hot; zeros at the first step.

    [(batch, time) integers, (batch, time, features)] -> (batch, time, classes). The mask of the second says which steps
    are padding, on the left or on the right: their labels don't count.
    """

    def __init__(self, classes: int, **options: Any) -> None:
        """Makes the layer.

        Args:
            classes: Number of classes.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.classes = classes
        self.supports_masking = True

    def call(self, inputs: tuple[Any, Any], mask: Any = None) -> Any:
        """Encodes and shifts."""
        return self.stream_call(inputs, self.stream_state(inputs), mask)[0]

    def stream_state(self, inputs: tuple[Any, Any]) -> Any:
        """Gives the label before the first step: none, which is (batch, 1, classes) zeros."""
        return ops.zeros_like(ops.one_hot(inputs[0][:, :1], self.classes, dtype=self.compute_dtype))

    def stream_call(self, inputs: tuple[Any, Any], state: Any, mask: Any = None) -> tuple[Any, Any]:
        """Encodes and shifts a chunk of longer sequences.

        Args:
            inputs: The labels and the features of the chunk.
            state: What `stream_state` or the chunk before gave.
            mask: The chunk's masks.

        Returns:
            (batch, steps, classes), and the state after the chunk.
        """
        encoded = ops.one_hot(inputs[0], self.classes, dtype=self.compute_dtype)
        if mask is not None and mask[1] is not None:
            encoded = encoded * ops.cast(ops.expand_dims(mask[1], -1), encoded.dtype)
        shifted = ops.concatenate([state, encoded], axis=1)
        return shifted[:, :-1], shifted[:, -1:]

    def compute_mask(self, inputs: tuple[Any, Any], mask: Any = None) -> Any:
        """Hands on the mask of the second input."""
        return None if mask is None else mask[1]

    def compute_output_spec(self, inputs: tuple[Any, Any], mask: Any = None) -> Any:
        """Gives the form: real numbers, though the labels are integers."""
        return keras.KerasTensor((*inputs[0].shape, self.classes), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "classes": self.classes}
