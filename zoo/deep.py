"""Deep in three ways: states above states, a deeper step from one state to the next, connections that skip levels."""

from typing import Any, Literal

import keras

from zoo.blocks import SEQUENCE, scores_at_each_step, sequence_dropout, sequence_inputs
from zoo.cells import Cell, recurrent_layer
from zoo.fields import PositiveInt, Rate, Units, VocabularySize
from zoo.layers import DeepTransitionCell
from zoo.registry import register_model
from zoo.specs import TaskShape

Connections = Literal["plain", "residual", "skip"]


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes"},
    streamable=True,
    references=(
        "Pascanu et al. 2014, arXiv:1312.6026, figure 2d",
        "Graves 2013, arXiv:1308.0850",
        "Wu et al. 2016, arXiv:1609.08144",
    ),
    tiny={"features": 4, "classes": 2, "units": (3, 2)},
)
def stacked_rnn(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    cell: Cell = "lstm",
    units: Units = (64, 64),
    connections: Connections = "residual",
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Reads a sequence with a hierarchy of states, each level reading the one below, and names a class at each step.

    Equation:
        h^1_t = cell(x_t, h^1_{t-1})
        plain: h^l_t = cell(h^{l-1}_t, h^l_{t-1}), logits_t = W h^L_t + b
        residual: y^l_t = cell(y^{l-1}_t, ...) + y^{l-1}_t, y^1 = h^1, logits_t = W y^L_t + b; where widths differ,
        P^l y^{l-1}_t is added
        skip: h^l_t = cell([h^{l-1}_t; x_t], h^l_{t-1}), logits_t = W [h^1_t; ...; h^L_t] + b

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        cell: The recurrent cell.
        units: Width of each level, from the input up.
        connections: What joins the levels beside the one below: nothing, its sum, or the input and the output layer.
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

    # Body: (batch, time, size) -> (batch, time, width) at each level
    levels: list[Any] = []
    for i, width in enumerate(units, start=1):
        below = levels[-1] if levels else x
        if connections == "skip" and levels:
            below = keras.layers.Concatenate(name=f"skip_{i}")([below, x])
        below = sequence_dropout(below, dropout, name=f"dropout_{i}")
        layer = recurrent_layer(
            cell, width, name=f"{cell}_{i}", recurrent_dropout=recurrent_dropout, return_sequences=True
        )
        level = layer(below)
        if connections == "residual" and levels:
            level = _residual(level, levels[-1], i)
        levels.append(level)

    # Head: (batch, time, width) -> (batch, time, classes)
    top = keras.layers.Concatenate(name="levels")(levels) if connections == "skip" and levels[1:] else levels[-1]
    return scores_at_each_step(inputs, top, classes, dropout=dropout, name="stacked_rnn")


def _residual(level: Any, below: Any, i: int) -> Any:
    if below.shape[-1] != level.shape[-1]:
        below = keras.layers.Dense(level.shape[-1], use_bias=False, name=f"project_{i}")(below)
    return keras.layers.Add(name=f"residual_{i}")([level, below])


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes"},
    streamable=True,
    references=("Pascanu et al. 2014, arXiv:1312.6026, figure 2a-c",),
    tiny={"features": 4, "classes": 2, "units": 3, "input_depth": 2, "output_depth": 2},
)
def deep_transition_rnn(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    units: PositiveInt = 64,
    input_depth: PositiveInt = 1,
    transition_depth: PositiveInt = 2,
    output_depth: PositiveInt = 1,
    shortcut: bool = True,
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Reads a sequence with several layers in each of its three steps: to the state, between states, to the output.

    Equation:
        u_t = x_t through input_depth - 1 layers tanh(. W + b)
        z_1 = tanh(u_t W + h_{t-1} U + b),  z_l = tanh(z_{l-1} V_l + c_l),  h_t = z_{transition_depth}
        shortcut: h_{t-1} S is added before the last tanh
        logits_t = W_o y_t + b_o, y_t = h_t through output_depth - 1 layers tanh(. W + b)

    All depths 1 is the plain RNN (figure 2a); a deeper transition 2b, with the shortcut 2b*; a deeper output too 2c.

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        units: Width of the state and of every added layer.
        input_depth: Layers from the input to the state.
        transition_depth: Layers from one state to the next.
        output_depth: Layers from the state to the logits.
        shortcut: Whether the old state also reaches the last layer of the transition directly.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what the recurrence and the output read that is dropped in training.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes).
        The mask travels to the logits: Keras losses leave padding out.

    Raises:
        ValueError: Both or neither of features and vocabulary are given, or a shortcut over a transition of depth 1.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, units)
    for i in range(1, input_depth):
        x = keras.layers.Dense(units, activation="tanh", name=f"to_state_{i}")(x)
    x = sequence_dropout(x, dropout, name="dropout_1")
    cell = DeepTransitionCell(
        units, transition_depth, shortcut, recurrent_dropout=recurrent_dropout, name="transition_cell"
    )
    x = keras.layers.RNN(cell, return_sequences=True, name="transition")(x)
    for i in range(1, output_depth):
        x = keras.layers.Dense(units, activation="tanh", name=f"to_output_{i}")(x)

    # Head: (batch, time, units) -> (batch, time, classes)
    return scores_at_each_step(inputs, x, classes, dropout=dropout, name="deep_transition_rnn")
