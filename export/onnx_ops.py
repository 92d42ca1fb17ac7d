"""Functions of Keras whose TensorFlow ops tf2onnx does not know, in ops that it does."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import nn

from export import scans

Call = Callable[..., Any]


def _conv(original: Call) -> Call:
    def conv(
        inputs: Any,
        kernel: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
    ) -> tf.Tensor:
        last = (data_format or keras.config.image_data_format()) == "channels_last"
        if not last or inputs.shape[-1] == kernel.shape[-2]:
            return original(inputs, kernel, strides, padding, data_format, dilation_rate)
        # Keras compiles a convolution in groups with XLA, because TensorFlow has none on CPUs; ONNX has.
        return tf.nn.convolution(inputs, kernel, strides, padding.upper(), dilations=dilation_rate)

    return conv


PATCHES: dict[tuple[Any, str], Callable[[Call], Call]] = {
    (nn, "conv"): _conv,
    **scans.patches(scans.in_arrays),
}
