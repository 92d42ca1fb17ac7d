"""Models that look ahead, or need the whole sequence at once: who is to blame, and a word of the reason."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tests.export.causal_models import model_of

L = keras.layers


@keras.saving.register_keras_serializable("user")
class Peek(L.Layer):
    """Looks one step ahead."""

    def call(self, x: Any) -> Any:
        return ops.pad(x, ((0, 0), (0, 1), (0, 0)))[:, 1:]


# name -> (model, the layer that stands in the way, a word of the reason)
NOT_CAUSAL: dict[str, tuple[Callable[[], keras.Model], str, str]] = {
    "both directions": (
        lambda: model_of(lambda x: L.Dense(2)(L.Bidirectional(L.LSTM(4, return_sequences=True), name="culprit")(x))),
        "culprit",
        "both ends",
    ),
    "backwards": (lambda: model_of(L.LSTM(4, go_backwards=True, name="culprit")), "culprit", "go_backwards"),
    "pooled": (
        lambda: model_of(lambda x: L.GlobalMaxPooling1D(name="culprit")(L.GRU(3, return_sequences=True)(x))),
        "culprit",
        "pools over time",
    ),
    "attention to the start": (
        lambda: model_of(lambda x: L.MultiHeadAttention(2, 4, name="culprit")(x, x, use_causal_mask=True)),
        "culprit",
        "sliding_window",
    ),
    "attention ahead": (
        lambda: model_of(lambda x: L.MultiHeadAttention(2, 4, sliding_window=3, name="culprit")(x, x)),
        "culprit",
        "use_causal_mask",
    ),
    "attention of masked steps": (
        lambda: model_of(
            lambda x: L.MultiHeadAttention(2, 4, sliding_window=3, name="culprit")(
                *[L.Masking()(x)] * 2, use_causal_mask=True
            )
        ),
        "culprit",
        "masked step",
    ),
    "same padding": (lambda: model_of(L.Conv1D(2, 3, padding="same", name="culprit")), "culprit", "causal"),
    "mean by an op": (lambda: model_of(lambda x: ops.mean(L.GRU(3, return_sequences=True)(x), 1)), "mean", "whole"),
    "flipped": (lambda: model_of(lambda x: L.GRU(3)(ops.flip(x, axis=1))), "flip", "later steps"),
    "peek": (lambda: model_of(lambda x: L.GRU(3)(Peek(name="culprit")(x))), "culprit", "later steps"),
    "normalised over time": (
        lambda: model_of(lambda x: L.GRU(3)(L.GroupNormalization(1, name="culprit")(x))),
        "culprit",
        "later steps",
    ),
    "sum of all before": (lambda: model_of(lambda x: ops.cumsum(x, axis=1)), "cumsum", "remembers"),
    "one of many": (
        lambda: model_of(
            lambda x: L.Add()(
                [
                    L.GRU(4, return_sequences=True)(x),
                    L.GRU(4, return_sequences=True, go_backwards=True, name="culprit")(x),
                ]
            )
        ),
        "culprit",
        "go_backwards",
    ),
}


def _inside(x: Any) -> Any:
    """A model as a layer, with a layer that reads both ways."""
    y = keras.Input((None, 5))
    return keras.Model(y, L.Bidirectional(L.LSTM(4, return_sequences=True), name="culprit")(y))(x)


# The same, more of them.
NOT_CAUSAL_EITHER: dict[str, tuple[Callable[[], keras.Model], str, str]] = {
    "both directions inside": (lambda: model_of(_inside), "culprit", "both ends"),
    "backwards inside": (
        lambda: model_of(lambda x: keras.Sequential([L.GRU(4, go_backwards=True, name="culprit")])(x)),
        "culprit",
        "go_backwards",
    ),
    "flattened": (
        lambda: model_of(lambda x: L.Dense(2)(L.Flatten(name="culprit")(L.GRU(3, return_sequences=True)(x))), (12, 5)),
        "culprit",
        "one vector of all steps",
    ),
    "steps folded together": (
        lambda: model_of(lambda x: L.GRU(3)(L.Reshape((6, 10), name="culprit")(x)), (12, 5)),
        "culprit",
        "fails on a chunk",
    ),
    "time moved": (
        lambda: model_of(lambda x: L.GRU(3)(L.Permute((2, 1), name="culprit")(x)), (12, 5)),
        "culprit",
        "moves the time axis",
    ),
    "normalised over steps": (
        lambda: model_of(lambda x: L.GRU(3)(L.LayerNormalization(axis=1, name="culprit")(x)), (12, 5)),
        "culprit",
        "fails on a chunk",
    ),
    "softmax over time": (lambda: model_of(lambda x: L.GRU(3)(L.Softmax(1, name="culprit")(x))), "culprit", "later"),
    "softmax by an op": (lambda: model_of(lambda x: L.GRU(3)(ops.softmax(x, axis=1))), "softmax", "later steps"),
    "mean taken off": (
        lambda: model_of(lambda x: L.GRU(3)(x - ops.mean(x, axis=1, keepdims=True))),
        "mean",
        "several at once",
    ),
    "scaled by the largest": (
        lambda: model_of(lambda x: L.GRU(3)(L.Lambda(lambda y: y / ops.max(y, 1, keepdims=True), name="culprit")(x))),
        "culprit",
        "later steps",
    ),
    "mean by a lambda": (
        lambda: model_of(
            lambda x: L.Dense(2)(L.Lambda(lambda y: ops.mean(y, 1), name="culprit")(L.GRU(3, return_sequences=True)(x)))
        ),
        "culprit",
        "whole sequence",
    ),
    "reversed slice": (lambda: model_of(lambda x: L.GRU(3)(x[:, ::-1])), "get_item", "later steps"),
    "first step": (
        lambda: model_of(lambda x: L.Dense(2)(L.GRU(3, return_sequences=True)(x)[:, 0])),
        "get_item",
        "whole sequence",
    ),
    "attention without masks": (lambda: model_of(lambda x: L.Attention(name="culprit")([x, x])), "culprit", "bounded"),
    "steps after the last": (
        lambda: model_of(lambda x: L.GRU(3)(L.ZeroPadding1D((0, 2), name="culprit")(x))),
        "culprit",
        "no last one",
    ),
    "pooled around": (
        lambda: model_of(lambda x: L.GRU(3)(L.AveragePooling1D(3, 1, padding="same", name="culprit")(x))),
        "culprit",
        "looks ahead",
    ),
    "both sides of a picture": (
        lambda: model_of(lambda x: L.Conv2D(1, 3, padding="same", name="culprit")(L.Reshape((-1, 5, 1))(x))),
        "culprit",
        "padding='valid', with zeros",
    ),
    "overlapping outputs": (lambda: model_of(L.Conv1DTranspose(2, 3, name="culprit")), "culprit", "overlap"),
    "sum by a lambda": (
        lambda: model_of(L.Lambda(lambda y: ops.cumsum(y, axis=1), name="culprit")),
        "culprit",
        "stream_state and stream_call",
    ),
    "started from the end": (
        lambda: model_of(lambda x: L.GRU(4, name="culprit")(x, initial_state=L.GRU(4)(x))),
        "culprit",
        "whole sequence",
    ),
    "sorted": (lambda: model_of(lambda x: L.GRU(3)(ops.sort(x, axis=1))), "sort", "later steps"),
}
