"""What came before recurrent networks, and what every recipe can be compared with: predict from a fixed past."""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import numpy as np

from zoo.blocks import SEQUENCE, exactly_one, logits_head, recurrent_stack, sequence_dropout, sequence_inputs
from zoo.cells import Cell
from zoo.fields import PositiveInt, Range, Rate, Units, VocabularySize
from zoo.layers import WindowCell
from zoo.registry import register_model
from zoo.specs import TaskShape

WindowLength = Annotated[int, Range(min=2)]
OUTPUTS = {"predictions": "batch time targets", "logits": "batch time classes"}
NEVER_SEEN = -30.0
"""Logarithm that stands for a count of zero: exp of it, 1e-13, is lost in float32 beside 1."""


def _head(x: Any, targets: int | None, classes: int | None) -> Any:
    exactly_one("targets= (numbers)", targets, "classes= (labels or tokens)", classes)
    if classes is not None:
        return logits_head(x, classes)
    return keras.layers.Dense(targets, dtype="float32", name="predictions")(x)


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs=OUTPUTS,
    streamable=True,
    references=("Yule 1927, doi:10.1098/rsta.1927.0007", "Bengio et al. 2003, jmlr.org/papers/v3/bengio03a"),
    tiny={"features": 4, "classes": 2, "window": 3, "hidden": (3,)},
)
def autoregressive(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    targets: PositiveInt | None = None,
    classes: PositiveInt | None = None,
    window: WindowLength = 8,
    hidden: tuple[PositiveInt, ...] = (),
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Predicts at each step from the last tau inputs and nothing else: linear, or through hidden layers.

    Equation:
        w_t = [x_t; x_{t-1}; ...; x_{t-tau+1}],  x_t = 0 for t <= 0
        y_t = W w_t + b; with hidden layers, W tanh(... tanh(W_1 w_t + b_1)) + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        targets: How many numbers to predict at each step; give either this or classes.
        classes: Number of classes, or of tokens, to score at each step.
        window: tau, how many inputs a prediction sees.
        hidden: Width of each hidden layer; none is the linear model.
        embedding: Size of the vector that stands for a token.
        dropout: Share of the window and of each hidden layer that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `predictions`
        (batch, time, targets) or `logits` (batch, time, classes).

    Raises:
        ValueError: Not exactly one of features and vocabulary, or of targets and classes, is given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, window x size) -> (batch, time, width)
    cell = WindowCell(x.shape[-1], window, name="window_cell")
    x = keras.layers.RNN(cell, return_sequences=True, name="window")(x)
    for i, width in enumerate(hidden, start=1):
        x = sequence_dropout(x, dropout, name=f"dropout_{i}")
        x = keras.layers.Dense(width, activation="tanh", name=f"hidden_{i}")(x)

    # Head: (batch, time, width) -> (batch, time, targets or classes)
    x = sequence_dropout(x, dropout, name="dropout")
    return keras.Model(inputs, _head(x, targets, classes), name="autoregressive")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={"token_ids": "batch time < vocabulary"},
    outputs={"logits": "batch time vocabulary"},
    streamable=True,
    references=("Markov 1913, doi:10.1017/S0269889706001074", "Shannon 1948, doi:10.1002/j.1538-7305.1948.tb01338.x"),
    tiny={"vocabulary": 7},
)
def markov(*, vocabulary: VocabularySize) -> keras.Model:
    """Scores the next token from the present one alone: a table of transitions.

    `fit_transitions` sets the table to the counts' logarithm, the maximum of the likelihood; gradient descent on the
    cross-entropy goes to the same place.

    Equation:
        logits_t = A[x_t],  p(x_{t+1} = j | x_t = i) = softmax(A[i])_j = n_ij / sum_k n_ik once fitted

    Args:
        vocabulary: Number of token ids; id 0 is padding and is skipped.

    Returns:
        A model from `token_ids` (batch, time) to `logits` (batch, time, vocabulary).
        The mask travels to the logits: Keras losses leave padding out.
    """
    # Inputs
    tokens = keras.Input(shape=(None,), dtype="int32", name="token_ids")

    # Body and head: (batch, time) -> (batch, time, vocabulary)
    logits = keras.layers.Embedding(vocabulary, vocabulary, mask_zero=True, dtype="float32", name="logits")(tokens)
    return keras.Model(tokens, logits, name="markov")


def fit_transitions(model: keras.Model, sequences: Sequence[Any], smoothing: float = 0.0) -> np.ndarray[Any, Any]:
    """Sets a `markov` model to the count estimate.

    Args:
        model: What `create_model("markov", ...)` gave.
        sequences: Token ids, each sequence a list or a row of an array; pairs with id 0, padding, are not counted.
        smoothing: Added to each count but those of padding (Laplace).

    Returns:
        The transition matrix n_ij / sum_k n_ik, (vocabulary, vocabulary); a row without counts is uniform.

    Raises:
        ValueError: A token id outside of the model's vocabulary.
    """
    size = model.get_layer("logits").input_dim
    counts = np.zeros((size, size))
    for sequence in sequences:
        ids = np.asarray(sequence, np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < size:
            raise ValueError(f"token ids must be from 0 to {size - 1}, got {ids.min()} to {ids.max()}")
        before, after = ids[:-1], ids[1:]
        counted = (before != 0) & (after != 0)
        np.add.at(counts, (before[counted], after[counted]), 1)
    counts[1:, 1:] += smoothing
    totals = counts.sum(1, keepdims=True)
    matrix: np.ndarray[Any, Any] = np.where(totals > 0, counts / np.maximum(totals, 1e-300), 1 / size)
    logits = np.where(matrix > 0, np.log(np.maximum(matrix, 1e-300)), NEVER_SEEN)
    model.get_layer("logits").set_weights([logits])
    return matrix


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs=OUTPUTS,
    streamable=True,
    references=("Zhang, Lipton, Li & Smola 2023, Dive into Deep Learning, 9.1, arXiv:2106.11342",),
    tiny={"features": 4, "classes": 2, "units": (3,)},
)
def latent_autoregressive(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    targets: PositiveInt | None = None,
    classes: PositiveInt | None = None,
    cell: Cell = "simple_rnn",
    units: Units = (32,),
    hidden: tuple[PositiveInt, ...] = (),
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Predicts at each step from a hidden summary of all inputs so far, in place of a window of them.

    Equation:
        h_t = g(h_{t-1}, x_t), g the cell, for each layer of the stack
        y_t = W h_t + b; with hidden layers, W tanh(... tanh(W_1 h_t + b_1)) + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        targets: How many numbers to predict at each step; give either this or classes.
        classes: Number of classes, or of tokens, to score at each step.
        cell: The recurrent cell that keeps the summary.
        units: Width of the summary of each recurrent layer, from the input up.
        hidden: Width of each hidden layer between the summary and the prediction.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous summary that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `predictions`
        (batch, time, targets) or `logits` (batch, time, classes).

    Raises:
        ValueError: Not exactly one of features and vocabulary, or of targets and classes, is given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, width)
    x = recurrent_stack(
        x,
        cell=cell,
        units=units,
        bidirectional=False,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
    )
    for i, width in enumerate(hidden, start=1):
        x = keras.layers.Dense(width, activation="tanh", name=f"hidden_{i}")(x)

    # Head: (batch, time, width) -> (batch, time, targets or classes)
    x = sequence_dropout(x, dropout, name="dropout")
    return keras.Model(inputs, _head(x, targets, classes), name="latent_autoregressive")
