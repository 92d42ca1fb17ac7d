from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class HeadWeights(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Cuts the attention weights of some heads out of what a memory's cell gives, and tells heads from slots."""

    def __init__(self, start: int, heads: int, slots: int, **options: Any) -> None:
        """Makes the layer.

        Args:
            start: First entry.
            heads: Number of heads.
            slots: Weights of each head.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.start, self.heads, self.slots = start, heads, slots
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Cuts: (batch, time, features) to (batch, time, heads, slots)."""
        part = inputs[..., self.start : self.start + self.heads * self.slots]
        return ops.reshape(part, (*ops.shape(part)[:2], self.heads, self.slots))

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "start": self.start, "heads": self.heads, "slots": self.slots}
