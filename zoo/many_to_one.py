"""A sequence in, one label out."""

import keras

from zoo.blocks import logits_head, recurrent_stack, sequence_inputs
from zoo.cells import Cell
from zoo.fields import PositiveInt, Rate, Units, VocabularySize
from zoo.registry import register_model
from zoo.specs import TaskShape


@register_model(
    shape=TaskShape.MANY_TO_ONE,
    inputs={"features": "batch time features", "token_ids": "batch time < vocabulary"},
    outputs={"logits": "batch classes"},
    streamable=lambda config: not config["bidirectional"],
    references=(
        "Elman 1990, doi:10.1207/s15516709cog1402_1",
        "Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
        "Cho et al. 2014, arXiv:1406.1078",
        "Schuster & Paliwal 1997, doi:10.1109/78.650093",
    ),
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
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Reads a sequence, names its class from the last hidden state.

    Equation:
        h_t = cell(x_t, h_{t-1}), for each layer of the stack
        logits = W h_T + b, T the last step that is no padding; bidirectional: h_T of the one direction beside h_1 of
        the other

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        bidirectional: Whether each layer also reads the sequence backwards.
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
    x = recurrent_stack(
        x,
        cell=cell,
        units=units,
        bidirectional=bidirectional,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=False,
    )

    # Head: (batch, width) -> (batch, classes)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, logits_head(x, classes), name="sequence_classifier")
