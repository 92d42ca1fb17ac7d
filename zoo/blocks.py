"""The parts that builders share: what reads the input, and the stack of recurrent layers."""

from typing import Any, Literal

import keras

from zoo.cells import Cell, Merge, recurrent_layer
from zoo.layers import AttentionPooling, MaskedPooling

Pooling = Literal["last", "mean", "max", "attention"]
"""How a sequence of states becomes one vector."""

SEQUENCE = {"features": "batch time features", "token_ids": "batch time < vocabulary"}
"""What `sequence_inputs` makes, as the registry names it."""


def exactly_one(first: str, a: Any, second: str, b: Any) -> None:
    """Checks that one of two optional fields is given.

    Args:
        first: How the first is called in the error.
        a: Its value.
        second: How the second is called.
        b: Its value.

    Raises:
        ValueError: Both are None, or none is.
    """
    if (a is None) == (b is None):
        raise ValueError(f"give exactly one of {first} and {second}, got {'neither' if a is None else 'both'}")


def sequence_inputs(
    *, features: int | None, vocabulary: int | None, embedding: int, mask_value: float | None
) -> tuple[Any, Any]:
    """Makes the input of a sequence model: feature vectors, or token ids through an embedding.

    Args:
        features: Size of the feature vectors; None if the model reads ids.
        vocabulary: Number of token ids, id 0 (padding) included; None if the model reads vectors.
        embedding: Size of the vector that stands for a token.
        mask_value: Steps whose features all equal this are padding.

    Returns:
        The input, (batch, time, features) or (batch, time), and what the recurrence reads, (batch, time, size),
        with a mask if there can be padding.

    Raises:
        ValueError: Not exactly one of features and vocabulary is given, or `mask_value` is given for ids.
    """
    exactly_one("features= (vectors)", features, "vocabulary= (token ids)", vocabulary)
    if vocabulary is not None:
        if mask_value is not None:
            raise ValueError(f"mask_value is for feature vectors, got {mask_value}; token id 0 is padding already")
        inputs = keras.Input(shape=(None,), dtype="int32", name="token_ids")
        # (batch, time) -> (batch, time, embedding)
        return inputs, keras.layers.Embedding(vocabulary, embedding, mask_zero=True, name="embedding")(inputs)
    inputs = keras.Input(shape=(None, features), dtype="float32", name="features")
    if mask_value is None:
        return inputs, inputs
    return inputs, padding_masked(inputs, mask_value)


def padding_masked(inputs: Any, mask_value: float) -> Any:
    """Masks the steps whose features all equal a value.

    Args:
        inputs: (batch, time, features).
        mask_value: What padding is filled with.

    Returns:
        The same shape, zeros where it is padding, with the mask.
    """
    # float32 under every policy: rounded to half precision, a step may equal a value that it does not have, and a
    # large value is infinite.
    return keras.layers.Masking(mask_value, dtype="float32", name="padding")(inputs)


def sequence_dropout(x: Any, rate: float, *, name: str) -> Any:
    """Drops features of a sequence, the same ones at every step (Gal & Ghahramani 2016, arXiv:1512.05287).

    Args:
        x: (batch, time, features).
        rate: Share of the features; 0 adds no layer.
        name: The layer's name.

    Returns:
        The same shape.
    """
    # Outside of the cell, so that every cell has it and cuDNN can still run the recurrence.
    return keras.layers.SpatialDropout1D(rate, name=name)(x) if rate else x


def recurrent_stack(
    x: Any,
    *,
    cell: Cell,
    units: tuple[int, ...],
    bidirectional: bool,
    dropout: float,
    recurrent_dropout: float,
    return_sequences: bool,
    merge: Merge = "concat",
) -> Any:
    """Stacks recurrent layers; each reads the sequence of states of the one below.

    Args:
        x: (batch, time, features).
        cell: A key of `zoo.cells.CELLS`.
        units: Width of each layer, from the input up.
        bidirectional: Whether each layer also reads the future.
        dropout: Share of each layer's inputs that is dropped.
        recurrent_dropout: Share of the previous state that is dropped, inside of the recurrence.
        return_sequences: Whether the last layer gives every state or only the last one.
        merge: How the states of two directions become one.

    Returns:
        (batch, time, width) or (batch, width); the width is the last of units, twice that if two directions are
        concatenated.
    """
    for i, width in enumerate(units, start=1):
        x = sequence_dropout(x, dropout, name=f"dropout_{i}")
        # (batch, time, below) -> (batch, time, width), the last layer perhaps (batch, width)
        x = recurrent_layer(
            cell,
            width,
            name=f"{cell}_{i}",
            bidirectional=bidirectional,
            merge=merge,
            recurrent_dropout=recurrent_dropout,
            return_sequences=return_sequences or i < len(units),
        )(x)
    return x


def recurrent_summary(x: Any, *, pooling: Pooling, dropout: float, **stack: Any) -> Any:
    """Reads a sequence into one vector.

    Args:
        x: (batch, time, features).
        pooling: The last state, or the mean, the maximum or a learned weighted mean of all states; padding is left out.
        dropout: Share that is dropped of each layer's inputs and of the vector.
        **stack: Further arguments of `recurrent_stack`.

    Returns:
        (batch, width).
    """
    # (batch, time, features) -> (batch, width) or (batch, time, width)
    x = recurrent_stack(x, dropout=dropout, return_sequences=pooling != "last", **stack)
    if pooling == "attention":
        x = AttentionPooling(name="pooling")(x)
    elif pooling != "last":
        x = MaskedPooling(pooling, name="pooling")(x)
    return keras.layers.Dropout(dropout, name="dropout")(x) if dropout else x


def logits_head(x: Any, size: int) -> Any:
    """Maps the last axis to scores.

    Args:
        x: (batch, width) or (batch, time, width).
        size: Number of classes.

    Returns:
        The same shape with `size` at the end: float32 under every dtype policy, for half precision overflows in a
        softmax over many classes.
    """
    return keras.layers.Dense(size, dtype="float32", name="logits")(x)


def scores_at_each_step(inputs: Any, x: Any, classes: int, *, dropout: float, name: str) -> keras.Model:
    """Ends a model that names a class at each step.

    Args:
        inputs: The model's inputs.
        x: (batch, time, width).
        classes: Number of classes.
        dropout: Share of what the logits are made of that is dropped.
        name: The model's name.

    Returns:
        The model, to `logits` (batch, time, classes).
    """
    return keras.Model(inputs, logits_head(sequence_dropout(x, dropout, name="dropout"), classes), name=name)
