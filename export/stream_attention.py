"""Causal attention with a bounded window: the last steps that it may see are its state."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from export.stream_scope import Scope, entered, refuse
from export.stream_windows import changed, valid_mask, with_past
from export.tensors import dims


def self_attention(
    scope: Scope,
    layer: Any,
    call: Callable[..., Any],
    query: tf.Tensor,
    value: tf.Tensor,
    key: tf.Tensor | None = None,
    *,
    attention_mask: Any = None,
    use_causal_mask: bool = False,
    **kwargs: Any,
) -> Any:
    """MultiHeadAttention and GroupQueryAttention with `sliding_window`, called with `use_causal_mask=True`.

    Attention to something that does not run with the stream (a picture, an encoded sentence) needs no memory.
    """
    if scope.is_constant(value) and (key is None or scope.is_constant(key)):
        return call(
            query, value, *([] if key is None else [key]),
            attention_mask=attention_mask, use_causal_mask=use_causal_mask, **kwargs,
        )  # fmt: skip
    if not use_causal_mask:
        raise refuse(layer, "it attends to later steps; call it with use_causal_mask=True")
    if layer._sliding_window is None:
        raise refuse(layer, "its attention reaches back to the first step; bound it with sliding_window=")
    if attention_mask is not None:
        raise refuse(
            layer, "attention_mask is made for the whole sequence; use sliding_window= and use_causal_mask=True"
        )
    if kwargs.get("query_mask") is not None or keras.src.backend.get_keras_mask(query) is not None:
        # Keras leaves such a step without anything to attend to, and the softmax of nothing is the same for all.
        raise refuse(layer, "a masked step attends to all steps alike, later ones too; leave Masking or mask_zero out")
    past = layer._sliding_window - 1
    steps = dims(query)[1]
    seen = with_past(scope, scope.name(layer, "seen"), _valid(scope, layer, value, key), past)
    kwargs = {name: given for name, given in kwargs.items() if not name.endswith("_mask")}
    values = with_past(scope, scope.name(layer, "value"), value, past)
    keys = [] if key is None or key is value else [with_past(scope, scope.name(layer, "key"), key, past)]
    distance = tf.range(past + steps)[tf.newaxis] - tf.range(steps)[:, tf.newaxis]
    band = (distance >= 0) & (distance <= past)
    mask = band[tf.newaxis] & (seen > 0)[:, tf.newaxis]
    with entered(None), changed(layer, _sliding_window=None):
        return call(query, values, *keys, attention_mask=mask, use_causal_mask=False, **kwargs)


def attention(scope: Scope, layer: Any, call: Callable[..., Any], inputs: Any, *args: Any, **kwargs: Any) -> Any:
    """Attention and AdditiveAttention, to something that does not run with the stream."""
    if not all(scope.is_constant(tensor) for tensor in inputs[1:]):
        raise refuse(layer, "its attention is not bounded; use MultiHeadAttention(sliding_window=)")
    return call(inputs, *args, **kwargs)


def _valid(scope: Scope, layer: Any, value: tf.Tensor, key: tf.Tensor | None) -> tf.Tensor:
    """(batch, steps) int32: 1 where a step may be attended to."""
    valid = tf.ones(tf.stack(dims(value)[:2]), tf.int32)
    for tensor in (value, key):
        mask = None if tensor is None else keras.src.backend.get_keras_mask(tensor)
        if mask is not None:
            valid *= tf.cast(mask, tf.int32)
    warm = valid_mask(scope, layer, value)
    return valid if warm is None else valid * tf.cast(warm, tf.int32)
