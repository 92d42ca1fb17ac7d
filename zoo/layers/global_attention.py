from typing import Any, Literal

import keras
from keras import ops

Score = Literal["additive", "multiplicative"]
"""How a state is compared with the source."""


@keras.saving.register_keras_serializable(package="seqzoo")
class GlobalAttention(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Looks at every step of a source, and mixes what it found with the state that looked.

    Called with queries h (batch, target_time, units), keys k (batch, source_time, units), values m
    (batch, source_time, width) and a mask of the source (batch, source_time), it gives the attentional vectors
    (batch, target_time, units) and the weights (batch, target_time, source_time). Padding of the source has weight 0; a
    source that is all padding gives the context 0. Keys are the values times a matrix: made once for a source, outside
    of this layer.

    Equation:
        e_ts = v . tanh(h_t W_q + k_s), additive (Bahdanau et al. 2015)
        e_ts = h_t . k_s, multiplicative (Luong et al. 2015)
        a_t = softmax_s(e_ts);  c_t = sum_s a_ts m_s;  y_t = tanh([c_t, h_t] W_c)

    References: arXiv:1409.0473, arXiv:1508.04025.
    """

    def __init__(self, score: Score = "additive", **options: Any) -> None:
        """Makes the layer.

        Args:
            score: `"additive"` or `"multiplicative"`.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: Another score.
        """
        super().__init__(**options)
        if score not in ("additive", "multiplicative"):
            raise ValueError(f"score must be 'additive' or 'multiplicative', got {score!r}")
        self.score = score

    def build(
        self,
        queries_shape: tuple[int | None, ...],
        keys_shape: tuple[int | None, ...],
        values_shape: tuple[int | None, ...],
        valid_shape: tuple[int | None, ...],
    ) -> None:
        """Makes W_c (width + units, units) and, to score by addition, W_q (units, units) and v (units)."""
        units, width = queries_shape[-1], values_shape[-1]
        if self.score == "additive":
            self.query_kernel = self.add_weight(shape=(units, units), name="query_kernel", initializer="glorot_uniform")
            # As the row of a matrix: `glorot_uniform` scales by fans, which a plain vector doesn't have.
            self.score_vector = self.add_weight(shape=(units, 1), name="score_vector", initializer="glorot_uniform")
        self.kernel = self.add_weight(shape=(width + units, units), name="kernel", initializer="glorot_uniform")  # type: ignore[operator]

    def call(self, queries: Any, keys: Any, values: Any, valid: Any) -> tuple[Any, Any]:
        """Attends for every query by itself."""
        context, weights = self.look(queries, keys, values, valid)
        return self.mix(context, queries), weights

    def look(self, queries: Any, keys: Any, values: Any, valid: Any) -> tuple[Any, Any]:
        """Looks at the source.

        Args:
            queries: What looks, (batch, target_time, units).
            keys: (batch, source_time, units).
            values: (batch, source_time, width).
            valid: (batch, source_time) bool.

        Returns:
            What was seen, c (batch, target_time, width), and the weights a (batch, target_time, source_time).
        """
        # float32: half precision can't tell apart the weights of a long source.
        scores = ops.cast(self._scores(queries, keys), "float32")
        valid = ops.expand_dims(valid, 1)
        scores = ops.where(valid, scores, -1e30)
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)) * ops.cast(valid, "float32")
        weights = weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 1e-9)
        # (batch, target_time, source_time) @ (batch, source_time, width) -> (batch, target_time, width)
        return ops.matmul(ops.cast(weights, values.dtype), values), weights

    def mix(self, context: Any, states: Any) -> Any:
        """Makes the attentional vectors.

        Args:
            context: What was seen, (batch, target_time, width).
            states: The decoder's states, (batch, target_time, units).

        Returns:
            y (batch, target_time, units).
        """
        return ops.tanh(ops.matmul(ops.concatenate([context, states], axis=-1), self.kernel))

    def _scores(self, queries: Any, keys: Any) -> Any:
        """-> (batch, target_time, source_time)."""
        if self.score == "multiplicative":
            return ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))
        if queries.shape[1] == 1:  # fewer ops where a decoder goes step by step
            # (batch, 1, units) + (batch, source_time, units) -> (batch, source_time, 1)
            scores = ops.matmul(ops.tanh(ops.matmul(queries, self.query_kernel) + keys), self.score_vector)
            return ops.transpose(scores, (0, 2, 1))
        # (batch, target_time, 1, units) + (batch, 1, source_time, units)
        mixed = ops.expand_dims(ops.matmul(queries, self.query_kernel), 2) + ops.expand_dims(keys, 1)
        return ops.squeeze(ops.matmul(ops.tanh(mixed), self.score_vector), -1)

    def compute_output_spec(self, queries: Any, keys: Any, values: Any, valid: Any) -> tuple[Any, Any]:
        """Gives the form of the attentional vectors and of the weights."""
        weights = keras.KerasTensor((*queries.shape[:2], keys.shape[1]), dtype="float32")
        return keras.KerasTensor(queries.shape, dtype=self.compute_dtype), weights

    def compute_mask(self, queries: Any, previous_mask: Any = None) -> Any:
        """Hands on the mask of the queries."""
        return [previous_mask, previous_mask]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "score": self.score}
