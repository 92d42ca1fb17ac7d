"""The parts of encoder-decoders: each side's input, the encoder, the decoder with and without attention inside."""

from typing import Any, Literal

import keras

from zoo.blocks import sequence_dropout
from zoo.cells import Cell, recurrent_layer
from zoo.layers import AttentionCell, AttentionRNN, PaddingMask
from zoo.layers.global_attention import Score

Query = Literal["new", "last"]
"""Which state of the decoder looks at the source: the one of this step, or the one before."""


def token_sequence(side: str, vocabulary: int, embedding: int) -> tuple[Any, Any, Any]:
    """Makes one side's input.

    Args:
        side: `"encoder"` or `"decoder"`.
        vocabulary: Number of token ids, id 0 (padding) included.
        embedding: Size of the vector that stands for a token.

    Returns:
        The input (batch, time), its vectors (batch, time, embedding) and its mask (batch, time).
    """
    ids = keras.Input(shape=(None,), dtype="int32", name=f"{side}_token_ids")
    x = keras.layers.Embedding(vocabulary, embedding, mask_zero=True, name=f"{side}_embedding")(ids)
    return ids, x, PaddingMask(name=f"{side}_mask")(ids)


def encode(
    x: Any, *, cell: Cell, units: tuple[int, ...], bidirectional: bool, dropout: float, recurrent: float
) -> tuple[Any, Any]:
    """Reads the source.

    Args:
        x: (batch, source_time, embedding), with its mask.
        cell: A key of `zoo.cells.CELLS`.
        units: Width of each layer, from the input up.
        bidirectional: Whether each layer also reads backwards.
        dropout: Share of each layer's inputs that is dropped.
        recurrent: Share of the previous state that is dropped.

    Returns:
        Every state of the top layer (batch, source_time, width), and the last one (batch, width), that of the backward
        direction being the one at the first step.
    """
    last = x
    for i, size in enumerate(units, start=1):
        x = sequence_dropout(x, dropout, name=f"encoder_dropout_{i}")
        layer = recurrent_layer(
            cell,
            size,
            name=f"encoder_{cell}_{i}",
            bidirectional=bidirectional,
            recurrent_dropout=recurrent,
            return_sequences=True,
            return_state=True,
        )
        x, *states = layer(x)
        halves = (states[0], states[len(states) // 2])
        last = keras.layers.Concatenate(name=f"encoder_last_{i}")(halves) if bidirectional else states[0]
    return x, last


def first_states(context: Any, sizes: list[int], *, name: str) -> list[Any]:
    """Maps the encoder's vector to the first states of a layer of the decoder, whatever its width.

    Args:
        context: (batch, width).
        sizes: Width of each state.
        name: What the layers' names start with.

    Returns:
        One tensor (batch, size) for each state.
    """
    return [
        keras.layers.Dense(size, activation="tanh", name=f"{name}_start_{i}")(context)
        for i, size in enumerate(sizes, start=1)
    ]


def decode(
    x: Any, mask: Any, start: Any, *, cell: Cell, units: tuple[int, ...], dropout: float, recurrent: float
) -> Any:
    """Runs the decoder's recurrence over the given target.

    Args:
        x: (batch, target_time, size).
        mask: (batch, target_time).
        start: The encoder's vector (batch, width); None: the first states are zero.
        cell: A key of `zoo.cells.CELLS`.
        units: Width of each layer, from the input up.
        dropout: Share of each layer's inputs that is dropped.
        recurrent: Share of the previous state that is dropped.

    Returns:
        (batch, target_time, width).
    """
    for i, size in enumerate(units, start=1):
        x, name = sequence_dropout(x, dropout, name=f"decoder_dropout_{i}"), f"decoder_{cell}_{i}"
        layer = recurrent_layer(cell, size, name=name, recurrent_dropout=recurrent, return_sequences=True)
        states = None if start is None else first_states(start, layer.state_size, name=name)
        # The mask by name: beside an initial state, Keras doesn't look for it.
        x = layer(x, initial_state=states, mask=mask)
    return x


def decode_attending(
    x: Any,
    mask: Any,
    start: Any,
    source: tuple[Any, Any, Any],
    *,
    cell: Cell,
    units: tuple[int, ...],
    attention: Score,
    query: Query,
    dropout: float,
    recurrent: float,
) -> tuple[Any, Any]:
    """Runs the decoder's recurrence with the attention inside of it: what was seen is read with the next token.

    Args:
        x: (batch, target_time, size).
        mask: (batch, target_time).
        start: The encoder's vector (batch, width).
        source: Keys, values and mask, as `GlobalAttention` takes them.
        cell: A key of `zoo.cells.CELLS`.
        units: Width of each layer, from the input up.
        attention: How states are compared.
        query: Which state looks.
        dropout: Share of each layer's inputs that is dropped.
        recurrent: Share of the previous state that is dropped.

    Returns:
        The attentional vectors (batch, target_time, width) and the weights (batch, target_time, source_time).
    """
    names = [f"decoder_{cell}_{i}" for i in range(1, len(units) + 1)]
    layers = [
        recurrent_layer(cell, size, name=name, recurrent_dropout=recurrent)
        for size, name in zip(units, names, strict=True)
    ]
    for layer in layers[1:]:
        # Between the layers of a stack that runs in one loop, only the cells can drop.
        layer.cell.dropout = dropout
    x = sequence_dropout(x, dropout, name="decoder_dropout_1")
    states = [
        state
        for layer, name in zip(layers, names, strict=True)
        for state in first_states(start, layer.state_size, name=name)
    ]
    context_size = None if query == "new" else source[1].shape[-1]
    cell_stack = AttentionCell([layer.cell for layer in layers], attention, context_size, name="cell")
    decoder = AttentionRNN(cell_stack, name="decoder")
    attentional, weights = decoder(x, *source, initial_state=states, mask=mask)
    return attentional, weights
