"""Shape helpers that keep what is statically known."""

from typing import Any

import tensorflow as tf


def dims(tensor: Any) -> list[Any]:
    """The shape: an int where it is static, else a scalar tensor."""
    dynamic = tf.shape(tensor)
    return [dynamic[i] if size is None else size for i, size in enumerate(tensor.shape)]


def reshape(tensor: Any, shape: list[Any]) -> tf.Tensor:
    """tf.reshape that keeps what is statically known of the new shape."""
    static = all(isinstance(size, int) for size in shape)
    result = tf.reshape(tensor, shape if static else tf.stack(shape))
    result.set_shape([size if isinstance(size, int) and size >= 0 else None for size in shape])
    return result


def time_major(tensor: tf.Tensor) -> tf.Tensor:
    """(batch, time, ...) <-> (time, batch, ...)."""
    return tf.transpose(tensor, [1, 0, *range(2, len(tensor.shape))])


def where(condition: tf.Tensor, yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
    """tf.where with a condition that lacks the trailing axes."""
    for _ in range(len(yes.shape) - len(condition.shape)):
        condition = tf.expand_dims(condition, -1)
    return tf.where(condition, yes, no)
