"""Every recurrent cell that a builder's `cell=` can name, and the one function that makes a layer of it."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import keras

from zoo import layers

Cell = Literal[
    "simple_rnn",
    "lstm",
    "lstm_forget_bias",
    "lstm_peephole",
    "lstm_coupled",
    "lstm_layer_norm",
    "gru",
    "gru_reset_before",
    "minimal_gated",
]
"""The names that `cell=` takes. `gru` resets after the product with the recurrent weights, as cuDNN does."""


def _layer_of(
    cell: Callable[..., Any], units: int, *, name: str, recurrent_dropout: float = 0.0, **options: Any
) -> Any:
    return keras.layers.RNN(cell(units, recurrent_dropout=recurrent_dropout, name=f"{name}_cell"), name=name, **options)


CELLS: dict[Cell, Callable[..., Any]] = {
    "simple_rnn": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "lstm_forget_bias": functools.partial(_layer_of, layers.ForgetBiasLSTMCell),
    "lstm_peephole": functools.partial(_layer_of, layers.PeepholeLSTMCell),
    "lstm_coupled": functools.partial(_layer_of, layers.CoupledLSTMCell),
    "lstm_layer_norm": functools.partial(_layer_of, layers.LayerNormLSTMCell),
    "gru": keras.layers.GRU,
    "gru_reset_before": functools.partial(keras.layers.GRU, reset_after=False),
    "minimal_gated": functools.partial(_layer_of, layers.MinimalGatedCell),
}
"""Cell name -> a function from units and the arguments of `keras.layers.RNN` to a layer."""


Merge = Literal["concat", "sum", "ave", "mul"]
"""How the states of two directions become one vector, as `keras.layers.Bidirectional` names it."""


def recurrent_layer(
    cell: Cell,
    units: int,
    *,
    name: str,
    bidirectional: bool = False,
    merge: Merge = "concat",
    recurrent_dropout: float = 0.0,
    **options: Any,
) -> Any:
    """Makes one recurrent layer.

    Args:
        cell: A key of `CELLS`.
        units: Width of the state.
        name: The layer's name; a bidirectional one is called `bidirectional_<name>`.
        bidirectional: Whether a second layer reads the sequence backwards.
        merge: How the outputs of the two directions become one.
        recurrent_dropout: Share of the previous state that is dropped, one mask a sequence.
        **options: Arguments of `keras.layers.RNN`, such as `return_sequences`.

    Returns:
        A layer from (batch, time, features) to (batch, time, units) or (batch, units), twice as wide if two directions
        are concatenated.
    """
    layer = CELLS[cell](units, recurrent_dropout=recurrent_dropout, name=name, **options)
    if not bidirectional:
        return layer
    return keras.layers.Bidirectional(layer, merge_mode=merge, name=f"bidirectional_{name}")
