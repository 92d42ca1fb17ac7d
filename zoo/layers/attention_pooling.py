from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class AttentionPooling(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A weighted mean over time whose weights are learned from the states (Yang et al. 2016, doi:10.18653/v1/N16-1174).

    (batch, time, features) -> (batch, features); zeros for a row that is all padding.

    Equation:
        u_t = tanh(x_t W + b);  a = softmax_t(u_t v), over the steps that are no padding;  y = sum_t a_t x_t
    """

    def __init__(self, **options: Any) -> None:
        """Makes the layer.

        Args:
            **options: Arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes W (features, features), b (features) and v (features, 1)."""
        width = input_shape[-1]
        self.kernel = self.add_weight(shape=(width, width), name="kernel", initializer="glorot_uniform")
        self.bias = self.add_weight(shape=(width,), name="bias", initializer="zeros")
        self.query = self.add_weight(shape=(width, 1), name="query", initializer="glorot_uniform")

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pools over time."""
        # (batch, time, 1), (batch, time, features) -> (batch, features)
        mean = ops.sum(self.weights_of(inputs, mask) * ops.cast(inputs, "float32"), axis=1)
        return ops.cast(mean, inputs.dtype)

    def weights_of(self, inputs: Any, mask: Any = None) -> Any:
        """Gives each step's share of the mean.

        Args:
            inputs: (batch, time, features).
            mask: (batch, time), False for padding.

        Returns:
            (batch, time, 1) float32, of sum 1 over time, 0 for padding.
        """
        # (batch, time, features) -> (batch, time, 1)
        scores = ops.matmul(ops.tanh(ops.matmul(inputs, self.kernel) + self.bias), self.query)
        # float32: half precision can't tell apart the weights of a long sequence.
        scores = ops.cast(scores, "float32")
        if mask is not None:
            mask = ops.expand_dims(mask, -1)
            scores = ops.where(mask, scores, ops.full_like(scores, -1e30))
        weights = ops.exp(scores - ops.max(scores, axis=1, keepdims=True))
        if mask is not None:
            # A row of padding has equal scores everywhere: only the mask makes its weights zero.
            weights = weights * ops.cast(mask, "float32")
        return weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-9)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """There is no time axis left to mask."""
        return

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Drops the time axis."""
        return input_shape[0], input_shape[-1]
