from typing import Any

import keras
from keras import ops

from zoo.indexing import largest

EQUAL = 1e-6
"""Scores nearer to each other than this count as equal, and the first one is chosen."""


@keras.saving.register_keras_serializable(package="seqzoo")
class FeedbackCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A cell that reads its own last choice: the inner cell's output is scored, the best class comes back at t+1.

    Equation:
        h_t = cell([x_t; y_{t-1}], h_{t-1}),  logits_t = h_t W + b
        y_t = onehot(argmax(logits_t + noise_t)), noise_t zero unless sampled

    With noise drawn from the standard Gumbel distribution, y_t is a sample of softmax(logits_t) (Maddison et al. 2014,
    arXiv:1411.0030); the noise comes in beside x, so that a sampled sequence can be repeated, and exported.
    """

    def __init__(self, cell: Any, classes: int, sampled: bool = False, **options: Any) -> None:
        """Makes the cell.

        Args:
            cell: The inner cell, such as `keras.layers.LSTMCell(64)`.
            classes: Number of classes.
            sampled: Whether the last `classes` entries of the input are noise.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.cell, self.classes, self.sampled = cell, classes, sampled
        # A layer after the cell: the weights then stand in the order of a model that reads given labels.
        self.scores = keras.layers.Dense(classes, dtype=self.dtype_policy, name="scores")
        inner = cell.state_size
        self.state_size = [*(inner if isinstance(inner, (list, tuple)) else [inner]), classes]
        self.output_size = 2 * classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the inner cell and the scores, W (units, classes) and b (classes)."""
        width = (input_shape[-1] or 0) + (0 if self.sampled else self.classes)
        if not self.cell.built:  # Keras has built it already when the model is being loaded
            self.cell.build((input_shape[0], width))
        self.scores.build((input_shape[0], self.cell.output_size))

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) to logits and the one-hot choice side by side, (batch, 2 classes)."""
        *inner, last = states
        x, noise = (inputs[:, : -self.classes], inputs[:, -self.classes :]) if self.sampled else (inputs, 0)
        h, inner = self.cell(ops.concatenate([x, last], axis=-1), inner, training=training)
        logits = self.scores(h)
        choice = ops.one_hot(_first_of_the_best(logits + noise), self.classes, dtype=logits.dtype)
        return ops.concatenate([logits, choice], axis=-1), [*inner, choice]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        cell = keras.saving.serialize_keras_object(self.cell)
        return {**super().get_config(), "cell": cell, "classes": self.classes, "sampled": self.sampled}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FeedbackCell":
        """Makes the cell again, the inner one first."""
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})


def _first_of_the_best(scores: Any) -> Any:
    # A closed gate leaves scores that are zero but for rounding: which is largest would be each runtime's own choice.
    best = ops.max(scores, axis=-1, keepdims=True)
    return largest(ops.cast(scores >= best - EQUAL, "float32"))
