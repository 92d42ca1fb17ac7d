"""Real Fourier transforms as products with the sines and cosines, for runtimes without the transform."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import gen_math_ops


def waves(size: int, length: int) -> np.ndarray:
    """What frames are multiplied by to be transformed.

    Args:
        size: Samples of a frame; what it has more than the transform is cut off, what it lacks is zero.
        length: Of the transform.

    Returns:
        (2, size, length // 2 + 1): for the real and for the imaginary part.
    """
    angles = 2 * np.pi * np.outer(np.arange(size), np.arange(length // 2 + 1)) / length
    inside = (np.arange(size) < length)[:, np.newaxis]
    made: np.ndarray = (np.stack([np.cos(angles), -np.sin(angles)]) * inside).astype(np.float32)
    return made


def _transformed(z: Any) -> tuple[tf.Tensor, np.ndarray] | None:
    """(frames, waves) where z is their transform, and of a length that LiteRT lacks: it has the powers of two only."""
    op = getattr(z, "op", None)
    if op is None or op.type != "RFFT":
        return None
    frames, length = op.inputs[0], tf.get_static_value(op.inputs[1])
    if length is None or frames.shape[-1] is None or length[0] & (length[0] - 1) == 0:
        return None
    return frames, waves(int(frames.shape[-1]), int(length[0]))


def _part(index: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def patch(original: Callable[..., Any]) -> Callable[..., Any]:
        def part(z: Any, *args: Any, **kwargs: Any) -> Any:
            known = _transformed(z)
            return original(z, *args, **kwargs) if known is None else tf.matmul(known[0], known[1][index])

        return part

    return patch


def _complex_abs(original: Callable[..., Any]) -> Callable[..., Any]:
    def complex_abs(z: Any, *args: Any, **kwargs: Any) -> Any:
        known = _transformed(z)
        if known is None:
            return original(z, *args, **kwargs)
        real, imaginary = (tf.matmul(known[0], part) for part in known[1])
        return tf.sqrt(real * real + imaginary * imaginary)

    return complex_abs


# What reads a complex tensor: the transform before it then feeds nothing, and is pruned.
PATCHES = {
    (gen_math_ops, "real"): _part(0),
    (gen_math_ops, "imag"): _part(1),
    (gen_math_ops, "complex_abs"): _complex_abs,
}
