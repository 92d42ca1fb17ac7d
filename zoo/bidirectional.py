"""Past and future: models that read the whole sequence before they answer, so none of them can stream."""

import keras

from zoo.blocks import (
    SEQUENCE,
    Pooling,
    logits_head,
    recurrent_stack,
    recurrent_summary,
    scores_at_each_step,
    sequence_inputs,
)
from zoo.cells import Cell, Merge
from zoo.fields import PositiveInt, Rate, Units, VocabularySize
from zoo.registry import register_model
from zoo.specs import TaskShape

REFERENCES = (
    "Schuster & Paliwal 1997, doi:10.1109/78.650093",
    "Graves & Schmidhuber 2005, doi:10.1016/j.neunet.2005.06.042",
)


@register_model(
    shape=TaskShape.MANY_TO_ONE,
    inputs=SEQUENCE,
    outputs={"logits": "batch classes"},
    streamable=False,
    references=REFERENCES,
    tiny={"features": 4, "classes": 2, "units": (3,)},
)
def bidirectional_classifier(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    cell: Cell = "lstm",
    units: Units = (64,),
    merge: Merge = "concat",
    pooling: Pooling = "last",
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Reads a sequence in both directions, names its class from where both readings end.

    Equation:
        f_t = cell_f(x_t, f_{t-1}),  g_t = cell_g(x_t, g_{t+1}),  h_t = merge(f_t, g_t), for each layer of the stack
        s = merge(f_T, g_1), or mean_t h_t, or max_t h_t, or sum_t a_t h_t with a = softmax_t(v tanh(W_a h_t + b_a))
        logits = W s + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits.
        cell: The recurrent cell.
        units: Width of each direction of each layer, from the input up.
        merge: How the states of the two directions become one vector.
        pooling: What stands for the sequence: the last states, or the mean, the maximum or a learned weighted mean.
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
        bidirectional=True,
        merge=merge,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
    )

    # Head: (batch, width) -> (batch, classes)
    return keras.Model(inputs, logits_head(x, classes), name="bidirectional_classifier")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes"},
    streamable=False,
    references=REFERENCES,
    tiny={"features": 4, "classes": 2, "units": (3,)},
)
def bidirectional_tagger(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    cell: Cell = "lstm",
    units: Units = (64,),
    merge: Merge = "concat",
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Names a class for each step of a sequence, from all that comes before it and after it.

    Equation:
        f_t = cell_f(x_t, f_{t-1}),  g_t = cell_g(x_t, g_{t+1}),  h_t = merge(f_t, g_t), for each layer of the stack
        logits_t = W h_t + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        cell: The recurrent cell.
        units: Width of each direction of each layer, from the input up.
        merge: How the states of the two directions become one vector.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes).
        The mask travels to the logits: Keras losses leave padding out.

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, width)
    x = recurrent_stack(
        x,
        cell=cell,
        units=units,
        bidirectional=True,
        merge=merge,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
    )

    # Head: (batch, time, width) -> (batch, time, classes)
    return scores_at_each_step(inputs, x, classes, dropout=dropout, name="bidirectional_tagger")
