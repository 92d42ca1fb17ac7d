"""Functions of Keras that use ops which the runtimes lack, written in ops that all of them have."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import core
from keras.src.backend.tensorflow import numpy as keras_numpy


def _signbit(original: Callable[..., Any]) -> Callable[..., Any]:
    def signbit(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        if not x.dtype.is_floating:
            return original(x)
        # Keras looks at the bits; only 1 / x tells -0.0 from 0.0 without.
        return tf.logical_or(x < 0, tf.logical_and(tf.equal(x, 0), tf.math.reciprocal(x) < 0))

    return signbit


def _switch(original: Callable[..., Any]) -> Callable[..., Any]:
    def switch(index: Any, branches: Any, *operands: Any) -> Any:
        # Keras asks for TensorFlow's Case, which no other runtime has.
        index = tf.clip_by_value(tf.cast(index, tf.int32), 0, len(branches) - 1)

        def chosen(place: int) -> Any:
            if place == len(branches) - 1:
                return branches[place](*operands)
            return tf.cond(index <= place, lambda: branches[place](*operands), lambda: chosen(place + 1))

        return chosen(0)

    return switch


PORTABLE = {
    (core, "switch"): _switch,
    (keras_numpy, "signbit"): _signbit,  # argmax and argmin ask it
}
"""To be replaced while a model is traced."""
