"""Every recurrent cell that a builder's `cell=` can name, and the one function that makes a layer of it."""

from collections.abc import Callable
from typing import Any, Literal

import keras

Cell = Literal["simple_rnn", "lstm", "gru"]
"""The names that `cell=` takes."""

CELLS: dict[Cell, Callable[..., Any]] = {
    "simple_rnn": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
}
"""Cell name -> a function from units and the arguments of `keras.layers.RNN` to a layer."""


def recurrent_layer(
    cell: Cell, units: int, *, name: str, bidirectional: bool = False, recurrent_dropout: float = 0.0, **options: Any
) -> Any:
    """Makes one recurrent layer.

    Args:
        cell: A key of `CELLS`.
        units: Width of the state.
        name: The layer's name; a bidirectional one is called `bidirectional_<name>`.
        bidirectional: Whether a second layer reads the sequence backwards; outputs are concatenated.
        recurrent_dropout: Share of the previous state that is dropped, one mask a sequence.
        **options: Arguments of `keras.layers.RNN`, such as `return_sequences`.

    Returns:
        A layer from (batch, time, features) to (batch, time, units) or (batch, units), twice as wide if bidirectional.
    """
    layer = CELLS[cell](units, recurrent_dropout=recurrent_dropout, name=name, **options)
    return keras.layers.Bidirectional(layer, name=f"bidirectional_{name}") if bidirectional else layer
