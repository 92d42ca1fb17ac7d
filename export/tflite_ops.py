"""Functions of Keras whose TensorFlow ops LiteRT's converter lacks or gets wrong, in ops that it has."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import nn, numpy
from tensorflow.python.ops import gen_math_ops

from export import scans, spectral
from export.tflite_elementary import ELEMENTARY


def _softplus(original: Callable[..., Any]) -> Callable[..., Any]:
    def softplus(x: Any) -> tf.Tensor:
        # The converter writes log(exp(x) + 1), which overflows from x = 89 on.
        x = tf.convert_to_tensor(x)
        small = tf.exp(-tf.abs(x))
        # log(1 + small) by a sum that was rounded: the quotient puts right what was lost (Kahan).
        above = 1 + small
        lost = tf.where(above > 1, small / (above - 1), tf.ones_like(small))
        return tf.maximum(x, 0) + tf.where(above > 1, tf.math.log(above) * lost, small)

    return softplus


def _log_sigmoid(original: Callable[..., Any]) -> Callable[..., Any]:
    softplus = _softplus(original)

    def log_sigmoid(x: Any) -> tf.Tensor:
        return -softplus(-tf.convert_to_tensor(x))

    return log_sigmoid


def _apply_masks(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply_masks(logits: tf.Tensor, mask: Any, is_causal: bool) -> tf.Tensor:
        if not is_causal:
            return original(logits, mask, False)
        # Keras indexes its causal mask with [None, None], which the converter does not take on a dynamic time axis.
        query, key = tf.range(tf.shape(logits)[2]), tf.range(tf.shape(logits)[3])
        causal = tf.expand_dims(query, 1) >= tf.expand_dims(key, 0)
        causal = tf.expand_dims(tf.expand_dims(causal, 0), 0)
        return original(logits, causal if mask is None else tf.logical_and(mask, causal), False)

    return apply_masks


def _matmul(original: Callable[..., Any]) -> Callable[..., Any]:
    def matmul(x1: Any, x2: Any) -> Any:
        if not all(isinstance(x, tf.Tensor) or hasattr(x, "value") for x in (x1, x2)):
            return original(x1, x2)
        a, b = tf.convert_to_tensor(x1), tf.convert_to_tensor(x2)
        if a.dtype != b.dtype or not a.dtype.is_floating or b.shape.rank != 2 or (a.shape.rank or 0) < 3:
            return original(x1, x2)
        # Keras flattens the rows and unfolds them again, which takes ten ops where the batch is dynamic; the converter
        # makes one FULLY_CONNECTED of a product of any rank.
        return tf.matmul(a, b)

    return matmul


def _getitem(original: Callable[..., Any]) -> Callable[..., Any]:
    def getitem(self: tf.Tensor, key: Any, *others: Any) -> tf.Tensor:
        parts = key if isinstance(key, tuple) else (key,)
        new_axes = _new_axes(parts, self.shape.rank)
        if not new_axes:
            return original(self, key, *others)
        # The converter has no strided slice that adds an axis where another one is dynamic.
        rest = tuple(part for part in parts if part is not None)
        result = original(self, rest, *others) if any(part not in (..., slice(None)) for part in rest) else self
        for axis in new_axes:
            result = tf.expand_dims(result, axis)
        return result

    return getitem


def _new_axes(key: tuple[Any, ...], rank: int | None) -> list[int]:
    """Where a key such as `[..., None]` puts new axes, in the result; none if it holds anything else than slices."""
    if rank is None or not all(part is None or part is ... or isinstance(part, (int, slice)) for part in key):
        return []
    axes, place = [], 0
    for part in key:
        if part is None:
            axes.append(place)
        if part is ...:
            place += rank - sum(each is not None and each is not ... for each in key)
        elif not isinstance(part, int):
            place += 1
    return axes


def _of_lower_rank(original: Callable[..., Any]) -> Callable[..., Any]:
    def not_commutative(x: Any, y: Any, name: str | None = None) -> Any:
        # The converter moves transpositions behind such an op, and takes c - transpose(y) for transpose(y) - c where c
        # is a number, or has as many axes as y, the first of size 1. With fewer axes it comes out right.
        rank = y.shape.rank if tf.is_tensor(y) else None
        if not rank:
            return original(x, y, name)
        x = tf.convert_to_tensor(x, dtype_hint=y.dtype)
        sizes = x.shape.as_list() if x.shape.is_fully_defined() else [None]
        if not sizes or (len(sizes) == rank and sizes[0] == 1):
            first = next((axis for axis, size in enumerate(sizes) if size != 1), len(sizes))
            x = tf.reshape(x, sizes[first:] or [1])
        return original(x, y, name)

    return not_commutative


def _reciprocal(original: Callable[..., Any]) -> Callable[..., Any]:
    def reciprocal(x: Any, name: str | None = None) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        return tf.divide(tf.ones((), x.dtype), x, name)  # as the quotient that it becomes

    return reciprocal


def _rsqrt(original: Callable[..., Any]) -> Callable[..., Any]:
    def rsqrt(x: Any, name: str | None = None) -> tf.Tensor:
        # XNNPACK's RSQRT of zero is no number (Keras normalizes a row of zeros by it), and of 1 / sqrt(x) the converter
        # makes the same op.
        x = tf.convert_to_tensor(x)
        return tf.sqrt(tf.divide(tf.ones((), x.dtype), x), name)

    return rsqrt


def _roll(original: Callable[..., Any]) -> Callable[..., Any]:
    def roll(x: Any, shift: Any, axis: Any = None) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        if axis is None:
            return tf.reshape(roll(tf.reshape(x, [-1]), shift, 0), tf.shape(x))
        for places, along in zip(tf.nest.flatten(shift), tf.nest.flatten(axis), strict=True):
            size = tf.shape(x)[along]
            x = tf.gather(x, (tf.range(size) - places) % size, axis=along)
        return x

    return roll


def _reshape(original: Callable[..., Any]) -> Callable[..., Any]:
    def reshape(x: Any, newshape: Any) -> tf.Tensor:
        result = original(x, newshape)
        if not result.shape.rank or result.shape.as_list().count(None) < 2 or not _is_transposed(x):
            return result
        # Between two transpositions (two recurrent layers have them) the converter makes one reshape of all three, with
        # two open axes where the sizes come out the same, and then refuses it.
        return original(tf.gather(x, tf.range(tf.shape(x)[0])), newshape)

    return reshape


def _is_transposed(x: Any) -> bool:
    """Whether x is the result of a transposition, reshaped or as it is."""
    while tf.is_symbolic_tensor(x) and x.op.type in ("Reshape", "ExpandDims", "Squeeze", "Identity"):
        x = x.op.inputs[0]
    return bool(tf.is_symbolic_tensor(x) and x.op.type == "Transpose")


# What ONNX's MatMul does better in one piece as well.
PRODUCTS: dict[tuple[Any, str], Callable[[Callable[..., Any]], Callable[..., Any]]] = {(numpy, "matmul"): _matmul}


PATCHES: dict[tuple[Any, str], Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    (tf.Tensor, "__getitem__"): _getitem,
    (nn, "softplus"): _softplus,
    (nn, "log_sigmoid"): _log_sigmoid,
    (nn, "_apply_masks"): _apply_masks,
    (gen_math_ops, "sub"): _of_lower_rank,
    (gen_math_ops, "real_div"): _of_lower_rank,
    (tf.math, "reciprocal"): _reciprocal,
    (tf.math, "rsqrt"): _rsqrt,
    **PRODUCTS,
    (numpy, "reshape"): _reshape,
    (numpy, "roll"): _roll,
    **ELEMENTARY,
    **scans.patches(scans.in_chunks),
    **scans.cumprod_by(scans.in_chunks),
    **spectral.PATCHES,
}
