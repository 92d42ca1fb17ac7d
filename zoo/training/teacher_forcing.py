"""Teacher forcing: the decoder reads what it should have written."""

from typing import Any

import numpy as np


def teacher_forcing(
    token_ids: Any, *, start_id: int, end_id: int, padding: int = 0
) -> tuple[np.ndarray[Any, np.dtype[np.int32]], np.ndarray[Any, np.dtype[np.int32]]]:
    """Makes a decoder's inputs and labels of its targets.

    Args:
        token_ids: (batch, time), the targets, padded on the right.
        start_id: The token that comes before the first.
        end_id: The token that comes after the last.
        padding: The token that stands for padding.

    Returns:
        Two arrays (batch, time + 1): start, y_1 ... y_n, and y_1 ... y_n, end; both padded on the right.

    Raises:
        ValueError: The targets are no matrix, or hold padding in front of a token.
    """
    targets = np.asarray(token_ids, np.int32)
    if targets.ndim != 2:
        raise ValueError(f"token_ids must be (batch, time), got the shape {targets.shape}")
    valid = targets != padding
    if (valid[:, 1:] & ~valid[:, :-1]).any():
        raise ValueError(f"token_ids must be padded on the right: {padding} stands in front of a token")
    inputs = np.pad(targets, ((0, 0), (1, 0)), constant_values=start_id)
    labels = np.pad(targets, ((0, 0), (0, 1)), constant_values=padding)
    labels[np.arange(len(labels)), valid.sum(axis=1)] = end_id
    return inputs, labels
