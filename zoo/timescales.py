"""Memory by slowness: units that leak, modules that tick rarely, connections that skip steps."""

from typing import Annotated

import keras

from zoo.blocks import SEQUENCE, scores_at_each_step, sequence_dropout, sequence_inputs
from zoo.fields import Length, PositiveInt, Range, Rate, VocabularySize
from zoo.layers import EveryNth, HoldSteps, LeakyCell, TimeSkipCell
from zoo.registry import register_model
from zoo.specs import TaskShape

TimeConstant = Annotated[float, Range(min=1)]
"""Steps in which a unit forgets; 1 forgets at once."""
Delay = Annotated[int, Range(min=2)]
"""Steps that a connection skips; 1 is the plain recurrence."""
Periods = Annotated[tuple[PositiveInt, ...], Length(1)]
"""How often each module ticks."""


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes"},
    streamable=True,
    references=("Mozer 1992, NIPS 4", "Jaeger et al. 2007, doi:10.1016/j.neunet.2007.04.016"),
    tiny={"features": 4, "classes": 2, "units": 3, "longest": 8.0},
)
def leaky_rnn(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    units: PositiveInt = 64,
    shortest: TimeConstant = 1.0,
    longest: TimeConstant = 100.0,
    learned: bool = False,
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Names a class at each step; each unit forgets with a time constant of its own.

    Equation:
        h_t = (1 - a) * h_{t-1} + a * tanh(x_t W + h_{t-1} U + b),  a = 1 / tau for each unit
        logits_t = W_o h_t + b_o

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        units: Width of the state.
        shortest: Time constant of the fastest unit, in steps.
        longest: Time constant of the slowest unit; those between are spread evenly on a logarithmic scale.
        learned: Whether training moves the time constants.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what the recurrence and the output read that is dropped in training.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes).

    Raises:
        ValueError: Both or neither of features and vocabulary are given, or shortest is above longest.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, units)
    cell = LeakyCell(units, shortest, longest, learned, recurrent_dropout=recurrent_dropout, name="leaky_cell")
    x = sequence_dropout(x, dropout, name="dropout_1")
    x = keras.layers.RNN(cell, return_sequences=True, name="leaky")(x)

    # Head: (batch, time, units) -> (batch, time, classes)
    return scores_at_each_step(inputs, x, classes, dropout=dropout, name="leaky_rnn")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes"},
    streamable=True,
    references=("Koutnik, Greff, Gomez & Schmidhuber 2014, arXiv:1402.3511",),
    tiny={"features": 4, "classes": 2, "units": 2, "periods": (1, 2, 4)},
)
def clockwork_rnn(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    units: PositiveInt = 16,
    periods: Periods = (1, 2, 4, 8),
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Names a class at each step; the state has modules that tick at periods of their own, and rest at no cost.

    A module reads itself and the slower ones, never a faster one. So the slowest runs first, over its own ticks only,
    then the next: a module of period n is a plain RNN over time / n steps.

    Equation:
        module i at t = 0, T_i, 2 T_i ...: h^i_t = tanh(x_t W_i + h^i_{t-1} U_ii + sum_{j slower} h^j_{t-1} U_ji + b_i)
        at every other t: h^i_t = h^i_{t-1}
        logits_t = W_o [h^1_t; ...; h^n_t] + b_o

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        units: Width of each module.
        periods: How often each module ticks, in steps; in rising order.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what the recurrence and the output read that is dropped in training.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Steps whose features all equal this value are padding; the clock goes on over them.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes).

    Raises:
        ValueError: Both or neither of features and vocabulary are given, or the periods don't rise.
    """
    if list(periods) != sorted(set(periods)):
        raise ValueError(f"periods must rise, got {periods}")
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, units) for each module, the slowest first
    x = sequence_dropout(x, dropout, name="dropout_1")
    held, seen = [], [x]
    for period in reversed(periods):
        read = keras.layers.Concatenate(name=f"read_{period}")(seen) if seen[1:] else x
        ticks = EveryNth(period, name=f"every_{period}")(read)
        # (batch, time / period, size) -> (batch, time / period, units)
        module = keras.layers.SimpleRNN(
            units, return_sequences=True, recurrent_dropout=recurrent_dropout, name=f"module_{period}"
        )(ticks)
        held.append(HoldSteps(period, name=f"hold_{period}")([module, x]))
        seen.append(HoldSteps(period, delay=1, name=f"before_{period}")([module, x]))

    # Head: (batch, time, modules x units) -> (batch, time, classes)
    x = keras.layers.Concatenate(name="modules")(held[::-1]) if held[1:] else held[0]
    return scores_at_each_step(inputs, x, classes, dropout=dropout, name="clockwork_rnn")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes"},
    streamable=True,
    references=("Lin, Horne, Tino & Giles 1996, doi:10.1109/72.548162", "El Hihi & Bengio 1996, NIPS 8"),
    tiny={"features": 4, "classes": 2, "units": 3, "delay": 3},
)
def time_skip_rnn(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    units: PositiveInt = 64,
    delay: Delay = 10,
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Names a class at each step; a second connection reaches each state from d steps back.

    Equation:
        h_t = tanh(x_t W + h_{t-1} U + h_{t-d} V + b),  h_t = 0 for t <= 0
        logits_t = W_o h_t + b_o

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        units: Width of the state.
        delay: d, the steps that the second connection skips.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what the recurrence and the output read that is dropped in training.
        recurrent_dropout: Share of the previous states that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes).

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, units)
    cell = TimeSkipCell(units, delay, recurrent_dropout=recurrent_dropout, name="skip_cell")
    x = sequence_dropout(x, dropout, name="dropout_1")
    x = keras.layers.RNN(cell, return_sequences=True, name="time_skip")(x)

    # Head: (batch, time, units) -> (batch, time, classes)
    return scores_at_each_step(inputs, x, classes, dropout=dropout, name="time_skip_rnn")
