from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class ShiftedOneHot(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """What a model knows of its outputs at each step: the label before, one-hot; zeros at the first step.

    (batch, time) integers -> (batch, time, classes).
    """

    def __init__(self, classes: int, **options: Any) -> None:
        """Makes the layer.

        Args:
            classes: Number of classes.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.classes = classes

    def call(self, inputs: Any) -> Any:
        """Encodes and shifts."""
        encoded = ops.one_hot(inputs, self.classes, dtype=self.compute_dtype)
        return ops.concatenate([ops.zeros_like(encoded[:, :1]), encoded[:, :-1]], axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Adds the axis of the classes."""
        return (*input_shape, self.classes)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Gives the form: real numbers, though the inputs are integers."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "classes": self.classes}
