"""What keras.layers.Masking does to masked steps, undone where they are never read."""

from typing import Any

import tensorflow as tf


def before_masking(sequences: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """What a Masking layer was given, where it made both tensors; else the sequences as they are.

    Masking gives `where(any(x != value), x, 0)` and the mask `any(x != value)`: only the masked steps differ from x. A
    recurrence with this mask never reads them, so choosing zeros for them costs time for nothing.

    Args:
        sequences: (batch, time, features).
        mask: (batch, time) bool.
    """
    choice = _maker(sequences, "SelectV2")
    if choice is None:
        return sequences
    condition, given, _ = choice.inputs
    made_by = _comparison(mask)
    same = made_by is not None and made_by == _comparison(condition) and made_by[0] == given.ref()
    return given if same else sequences


def _maker(tensor: Any, kind: str) -> Any:
    """The op of this kind that made a tensor; None where another did."""
    op = getattr(tensor, "op", None)  # tensors outside a graph have none
    return op if op is not None and op.type == kind else None


def _comparison(valid: Any) -> tuple[Any, bytes] | None:
    """(x, value) where valid is `any(x != value)` over the last axis."""
    reduction = _maker(valid, "Any")
    unequal = None if reduction is None else _maker(reduction.inputs[0], "NotEqual")
    if unequal is None:
        return None
    (x, value), axes = unequal.inputs, tf.get_static_value(reduction.inputs[1])
    value = tf.get_static_value(value)
    last_only = axes is not None and axes.size == 1 and axes.item() in (-1, x.shape.rank - 1)
    return (x.ref(), value.tobytes()) if last_only and value is not None and value.ndim == 0 else None
