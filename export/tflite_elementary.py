"""Elementary functions that LiteRT has no op for, to float32's accuracy, in ops that it has.

Errors are those of float32 where a polynomial is not mentioned: arctan's is 2e-8 and erf's 1.5e-7 at most (Abramowitz &
Stegun 1964, 4.4.49 and 7.1.26).
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import math as keras_math
from keras.src.backend.tensorflow import numpy as keras_numpy

_ARCTAN = (
    1.0, -0.3333314528, 0.1999355085, -0.1420889944, 0.1065626393, -0.0752896400, 0.0429096138, -0.0161657367,
    0.0028662257,
)  # fmt: skip
_ERF = (0.0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def sinh(x: tf.Tensor) -> tf.Tensor:
    """(e^x - e^-x) / 2."""
    return (tf.exp(x) - tf.exp(-x)) / 2


def cosh(x: tf.Tensor) -> tf.Tensor:
    """(e^x + e^-x) / 2."""
    return (tf.exp(x) + tf.exp(-x)) / 2


def tan(x: tf.Tensor) -> tf.Tensor:
    """Sine through cosine."""
    return tf.sin(x) / tf.cos(x)


def arcsinh(x: tf.Tensor) -> tf.Tensor:
    """log(|x| + sqrt(x^2 + 1)), with the sign of x."""
    return tf.sign(x) * tf.math.log(tf.abs(x) + tf.sqrt(x * x + 1))


def arccosh(x: tf.Tensor) -> tf.Tensor:
    """log(x + sqrt(x^2 - 1))."""
    return tf.math.log(x + tf.sqrt(x - 1) * tf.sqrt(x + 1))


def arctanh(x: tf.Tensor) -> tf.Tensor:
    """log((1 + x) / (1 - x)) / 2."""
    return tf.math.log((1 + x) / (1 - x)) / 2


def arctan2(y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The angle of the point (x, y)."""
    small, large = tf.minimum(tf.abs(x), tf.abs(y)), tf.maximum(tf.abs(x), tf.abs(y))
    ratio = small / tf.where(large > 0, large, tf.ones_like(large))
    angle = ratio * _polynomial(ratio * ratio, _ARCTAN)
    angle = tf.where(tf.abs(y) > tf.abs(x), math.pi / 2 - angle, angle)
    angle = tf.where(x < 0, math.pi - angle, angle)
    return tf.where(y < 0, -angle, angle)


def arctan(x: tf.Tensor) -> tf.Tensor:
    """The angle whose tangent is x."""
    return arctan2(x, tf.ones_like(x))


def arcsin(x: tf.Tensor) -> tf.Tensor:
    """The angle whose sine is x."""
    return arctan2(x, tf.sqrt((1 - x) * (1 + x)))


def arccos(x: tf.Tensor) -> tf.Tensor:
    """The angle whose cosine is x."""
    return arctan2(tf.sqrt((1 - x) * (1 + x)), x)


def erf(x: tf.Tensor) -> tf.Tensor:
    """Gauss's error function."""
    t = 1 / (1 + 0.3275911 * tf.abs(x))
    return tf.sign(x) * (1 - _polynomial(t, _ERF) * tf.exp(-x * x))


def _polynomial(x: tf.Tensor, coefficients: tuple[float, ...]) -> tf.Tensor:
    value = coefficients[-1] * x + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        value = value * x + coefficient
    return value


def _in_its_place(function: Callable[..., tf.Tensor]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patch(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arrays: Any) -> tf.Tensor:
            tensors = [tf.convert_to_tensor(array) for array in arrays]
            # Keras takes float32 of whole numbers; LiteRT has no wider floats.
            return function(*(tf.cast(tensor, tf.float32) for tensor in tensors))

        return call

    return patch


ELEMENTARY = {
    (module, function.__name__): _in_its_place(function)
    for module, functions in (
        (keras_numpy, (sinh, cosh, tan, arcsinh, arccosh, arctanh, arctan, arctan2, arcsin, arccos)),
        (keras_math, (erf,)),
    )
    for function in functions
}
"""To be replaced while a model is traced."""
