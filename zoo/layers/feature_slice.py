from typing import Any

import keras

from zoo.indexing import largest


@keras.saving.register_keras_serializable(package="seqzoo")
class FeatureSlice(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Cuts a range out of the last axis, or names the largest entry in it."""

    def __init__(self, start: int, stop: int, argmax: bool = False, **options: Any) -> None:
        """Makes the layer.

        Args:
            start: First entry.
            stop: First entry that is left out.
            argmax: Whether to give the index of the largest entry, int32, in place of the entries.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.start, self.stop, self.argmax = start, stop, argmax
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Cuts: (..., features) to (..., stop - start), or (...) if argmax."""
        part = inputs[..., self.start : self.stop]
        return largest(part) if self.argmax else part

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "start": self.start, "stop": self.stop, "argmax": self.argmax}
