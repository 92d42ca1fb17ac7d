"""A sequence in, one label or one vector of numbers out."""

import keras

from zoo.blocks import SEQUENCE, Pooling, logits_head, recurrent_summary, sequence_inputs
from zoo.cells import Cell
from zoo.fields import PositiveInt, Rate, Units, VocabularySize
from zoo.registry import register_model
from zoo.specs import Config, TaskShape

REFERENCES = (
    "Elman 1990, doi:10.1207/s15516709cog1402_1",
    "Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
    "Cho et al. 2014, arXiv:1406.1078",
    "Schuster & Paliwal 1997, doi:10.1109/78.650093",
    "Yang et al. 2016, doi:10.18653/v1/N16-1174",
)


def _keeps_its_past_in_states(config: Config) -> bool:
    # A pooled summary needs every state, not only the last.
    return not config["bidirectional"] and config["pooling"] == "last"


@register_model(
    shape=TaskShape.MANY_TO_ONE,
    inputs=SEQUENCE,
    outputs={"logits": "batch classes"},
    streamable=_keeps_its_past_in_states,
    references=REFERENCES,
    tiny={"features": 4, "classes": 2, "units": (3,)},
)
def sequence_classifier(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    cell: Cell = "lstm",
    units: Units = (64,),
    bidirectional: bool = False,
    pooling: Pooling = "last",
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Reads a sequence, names its class from the last hidden state or from all of them.

    Equation:
        h_t = cell(x_t, h_{t-1}), for each layer of the stack; bidirectional: h_t of both directions side by side
        s = h_T, T the last step that is no padding (of the backward direction: h_1)
        or s = mean_t h_t, or max_t h_t, or sum_t a_t h_t with a = softmax_t(v tanh(W_a h_t + b_a))
        logits = W s + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        bidirectional: Whether each layer also reads the sequence backwards.
        pooling: What stands for the sequence: the last state, or the mean, the maximum or a learned weighted mean.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, classes).

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, width)
    x = recurrent_summary(
        x,
        pooling=pooling,
        cell=cell,
        units=units,
        bidirectional=bidirectional,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )

    # Head: (batch, width) -> (batch, classes)
    return keras.Model(inputs, logits_head(x, classes), name="sequence_classifier")


@register_model(
    shape=TaskShape.MANY_TO_ONE,
    inputs=SEQUENCE,
    outputs={"predictions": "batch targets"},
    streamable=_keeps_its_past_in_states,
    references=REFERENCES,
    tiny={"features": 4, "targets": 2, "units": (3,)},
)
def sequence_regressor(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    targets: PositiveInt = 1,
    cell: Cell = "lstm",
    units: Units = (64,),
    bidirectional: bool = False,
    pooling: Pooling = "last",
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Reads a sequence, predicts numbers from the last hidden state or from all of them.

    Equation:
        h_t = cell(x_t, h_{t-1}), for each layer of the stack; bidirectional: h_t of both directions side by side
        s = h_T, T the last step that is no padding (of the backward direction: h_1)
        or s = mean_t h_t, or max_t h_t, or sum_t a_t h_t with a = softmax_t(v tanh(W_a h_t + b_a))
        y = W s + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        targets: How many numbers to predict, such as the steps of a forecast.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        bidirectional: Whether each layer also reads the sequence backwards.
        pooling: What stands for the sequence: the last state, or the mean, the maximum or a learned weighted mean.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `predictions` (batch, targets),
        in the targets' own units.

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, width)
    x = recurrent_summary(
        x,
        pooling=pooling,
        cell=cell,
        units=units,
        bidirectional=bidirectional,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )

    # Head: (batch, width) -> (batch, targets)
    predictions = keras.layers.Dense(targets, dtype="float32", name="predictions")(x)
    return keras.Model(inputs, predictions, name="sequence_regressor")
