"""What every way of decoding does with scores of tokens."""

from typing import Any

from keras import ops

IMPOSSIBLE = -1e9
"""Added to the score of a token that can't be: exp of it is 0, and sums of it stay finite."""


def check_limits(max_length: int, end_id: int | None, padding: int | None) -> None:
    """Checks what every way of decoding is given.

    Args:
        max_length: How many tokens to write at most.
        end_id: The token that ends a row.
        padding: The token that is never written.

    Raises:
        ValueError: max_length is less than 1, or the end is the padding.
    """
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, got {max_length!r}")
    if end_id is not None and end_id == padding:
        raise ValueError(f"end_id and padding are both {end_id}: the end would never be written; set padding=None")


def log_probabilities(logits: Any) -> Any:
    """Normalises scores.

    Args:
        logits: (..., vocabulary), in any precision.

    Returns:
        log p, float32.
    """
    return ops.log_softmax(ops.cast(logits, "float32"), axis=-1)


def filled(scores: Any, token_ids: Any) -> Any:
    """Marks one token.

    Args:
        scores: (..., vocabulary).
        token_ids: One id, or (...).

    Returns:
        The shape of the scores: 1.0 at the token, 0.0 elsewhere.
    """
    return ops.one_hot(ops.cast(token_ids, "int32"), scores.shape[-1], dtype="float32")
