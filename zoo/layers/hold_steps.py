from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class HoldSteps(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Undoes `EveryNth`: holds each step for n steps, up to the length of a second sequence, perhaps one step later.

    [(batch, time / n, features), (batch, time, ...)] -> (batch, time, features), with the second one's mask.
    """

    def __init__(self, period: int, delay: int = 0, **options: Any) -> None:
        """Makes the layer.

        Args:
            period: n.
            delay: How many steps later the values appear, zeros before.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.period, self.delay = period, delay
        self.supports_masking = True

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Holds."""
        slow, steps = inputs
        held = ops.repeat(slow, self.period, axis=1)
        if self.delay:
            held = ops.concatenate([ops.zeros_like(held[:, :1])] * self.delay + [held], axis=1)
        return held[:, : ops.shape(steps)[1]]

    def stream_state(self, inputs: tuple[Any, Any]) -> Any:
        """Gives what is held before the first chunk, where values appear later: zeros (batch, delay, features)."""
        slow, _ = inputs
        return ops.zeros_like(ops.repeat(slow[:, :1], self.delay, axis=1)) if self.delay else ()

    def stream_call(self, inputs: tuple[Any, Any], state: Any) -> tuple[Any, Any]:
        """Holds in a chunk of a longer sequence, whose slow steps come at every step, unchanged between the ticks.

        Args:
            inputs: [(batch, steps, features), (batch, steps, ...)].
            state: What `stream_state` or the chunk before gave.

        Returns:
            (batch, steps, features), and the state after the chunk.
        """
        slow, _ = inputs
        if not self.delay:
            return slow, ()
        held = ops.concatenate([state, slow], axis=1)
        return held[:, : -self.delay], held[:, -self.delay :]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Hands on the mask of the full sequence."""
        return None if mask is None else mask[1]

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Gives (batch, time, features)."""
        return (*input_shape[1][:2], input_shape[0][-1])

    def compute_output_spec(self, inputs: Any) -> Any:
        """Gives the form."""
        return keras.KerasTensor(self.compute_output_shape([x.shape for x in inputs]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "period": self.period, "delay": self.delay}
