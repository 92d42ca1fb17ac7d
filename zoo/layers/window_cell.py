from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class WindowCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A memory of the last inputs, without weights: at each step it gives the whole window.

    Equation:
        y_t = [x_t; x_{t-1}; ...; x_{t-length+1}],  x_t = 0 for t <= 0

    The state is the window without its newest entry, (batch, (length - 1) x features): a model with a fixed window then
    runs step by step, and skips padding, as a recurrent one does.
    """

    def __init__(self, features: int, length: int, **options: Any) -> None:
        """Makes the cell.

        Args:
            features: Size of an input.
            length: How many inputs the window holds, at least 2.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.features, self.length = features, length
        self.state_size = (length - 1) * features
        self.output_size = length * features

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) to the window, (batch, length x features)."""
        window = ops.concatenate([inputs, states[0]], axis=-1)
        return window, [window[:, : self.state_size]]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "features": self.features, "length": self.length}
