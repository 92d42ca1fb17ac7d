"""Causal models as users make them, by name and at random."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tests.export import user_cells
from tests.export.random_models import randomise

L = keras.layers


@keras.saving.register_keras_serializable("user")
class CausalConv(L.Layer):
    """A convolution by hand, which pads its input itself."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(4, shape[-1], 3), name="kernel")

    def call(self, x: Any) -> Any:
        return ops.conv(ops.pad(x, ((0, 0), (3, 0), (0, 0))), self.kernel, padding="valid")


@keras.saving.register_keras_serializable("user")
class LogFrames(L.Layer):
    """An audio front end: windows of 40 samples, 16 apart, their power spectrum's logarithm."""

    def call(self, samples: Any) -> Any:
        frames = tf.signal.frame(samples, 40, 16)
        spectrum = tf.abs(tf.signal.rfft(frames * tf.signal.hann_window(40), [64]))
        return tf.math.log(spectrum + 1e-2)


@keras.saving.register_keras_serializable("user")
class Deltas(L.Layer):
    """Each step beside its difference from the one before."""

    def call(self, x: Any) -> Any:
        before = ops.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        return ops.concatenate([x, x - before], axis=-1)


@keras.saving.register_keras_serializable("user")
class RunningMean(L.Layer):
    """Remembers all steps, by methods of its own."""

    def call(self, x: Any) -> Any:
        count = ops.cast(ops.arange(1, ops.shape(x)[1] + 1), x.dtype)
        return ops.cumsum(x, axis=1) / count[None, :, None]

    def stream_state(self, x: Any) -> Any:
        return ops.zeros_like(x[:, 0]), ops.zeros_like(x[:, 0, :1])

    def stream_call(self, x: Any, state: Any) -> Any:
        total, seen = state
        totals = total[:, None] + ops.cumsum(x, axis=1)
        steps = ops.shape(x)[1]
        counts = seen[:, None] + ops.cast(ops.arange(1, steps + 1), x.dtype)[None, :, None]
        return totals / counts, (totals[:, -1], counts[:, -1])


def model_of(
    build: Callable[[Any], Any], shape: Sequence[int | None] = (None, 5), dtype: str = "float32"
) -> keras.Model:
    """A model of one input `x`, its weights at random."""
    x = keras.Input(tuple(shape), dtype=dtype, name="x")
    return randomise(keras.Model(x, build(x)), seed=3)


# name -> (builder, shape, dtype)
CAUSAL: dict[str, Callable[[], keras.Model]] = {
    "lstm": lambda: model_of(L.LSTM(4, return_sequences=True)),
    "last state": lambda: model_of(lambda x: L.Dense(3)(L.GRU(4)(L.LSTM(3, return_sequences=True)(x)))),
    "simple rnn, states out": lambda: model_of(L.SimpleRNN(4, return_sequences=True, return_state=True)),
    "stacked cells": lambda: model_of(L.RNN([L.LSTMCell(3), L.GRUCell(4), L.LSTMCell(2)], return_sequences=True)),
    "own cell": lambda: model_of(L.RNN(user_cells.ManyStatesCell(3, 4), return_sequences=True)),
    "stateful": lambda: keras.Sequential([keras.Input((None, 5), batch_size=1), L.GRU(4, stateful=True)]),
    "masked": lambda: model_of(lambda x: L.GRU(4, return_sequences=True)(L.Masking()(x))),
    "tokens": lambda: model_of(lambda x: L.Dense(3)(L.LSTM(4)(L.Embedding(9, 5, mask_zero=True)(x))), (None,), "int32"),
    "dilated convolution": lambda: model_of(
        lambda x: L.LSTM(4, return_sequences=True)(L.Conv1D(6, 5, padding="causal", dilation_rate=2)(x))
    ),
    "strides": lambda: model_of(
        lambda x: L.GRU(4, return_sequences=True)(L.Conv1D(6, 5, strides=3, padding="causal")(x))
    ),
    "two valid convolutions": lambda: model_of(
        lambda x: L.GRU(4, return_sequences=True)(L.Conv1D(6, 4, strides=2)(L.Conv1D(6, 5, strides=2)(x)))
    ),
    "causal after valid": lambda: model_of(lambda x: L.Conv1D(4, 3, padding="causal")(L.Conv1D(6, 5, strides=2)(x))),
    "padded, then valid": lambda: model_of(lambda x: L.GRU(4)(L.Conv1D(6, 5)(L.ZeroPadding1D((4, 0))(x)))),
    "cropped branch": lambda: model_of(lambda x: L.Add()([L.Conv1D(5, 5)(x), L.Cropping1D((4, 0))(x)])),
    "overlapping pooling": lambda: model_of(lambda x: L.GRU(4, return_sequences=True)(L.AveragePooling1D(5, 3)(x))),
    "down and up": lambda: model_of(lambda x: L.GRU(4, return_sequences=True)(L.UpSampling1D(3)(L.MaxPooling1D(3)(x)))),
    "spectrogram": lambda: model_of(
        lambda x: L.GRU(4, return_sequences=True)(L.STFTSpectrogram(frame_length=32, frame_step=10, fft_length=32)(x)),
        (None, 1),
    ),
    "bounded attention": lambda: model_of(
        lambda x: L.MultiHeadAttention(2, 4, sliding_window=4)(x, x, use_causal_mask=True)
    ),
    "convolution in time and frequency": lambda: model_of(
        lambda x: L.GRU(4)(L.Reshape((-1, 16))(L.Conv2D(4, (3, 2))(L.ZeroPadding2D(((2, 0), (0, 0)))(x)))),
        (None, 5, 1),
    ),
    "convolutional cell": lambda: model_of(L.ConvLSTM1D(4, 3, return_sequences=True), (None, 8, 2)),
    "folded frames": lambda: model_of(
        lambda x: L.GRU(3)(L.TimeDistributed(L.Conv1D(4, 3, padding="same"))(x)[:, :, 0]), (None, 6, 2)
    ),
    "fixed length": lambda: model_of(lambda x: L.Dense(3)(L.LSTM(4)(x)), (20, 5)),
    "own convolution": lambda: model_of(lambda x: L.GRU(3, return_sequences=True)(CausalConv()(x))),
    "own front end": lambda: model_of(lambda x: L.GRU(3, return_sequences=True)(LogFrames()(x)), (None,)),
    "own differences": lambda: model_of(lambda x: L.GRU(3)(Deltas()(x))),
    "own memory": lambda: model_of(lambda x: L.GRU(3, return_sequences=True)(RunningMean()(x))),
    "last step by a slice": lambda: model_of(lambda x: L.Dense(3)(L.GRU(2, return_sequences=True)(x)[:, -1])),
    "last step by a lambda": lambda: model_of(
        lambda x: L.Dense(1)(L.Lambda(lambda y: y[:, -1])(L.GRU(2, return_sequences=True)(x)))
    ),
    "differences by slices": lambda: model_of(lambda x: L.GRU(3)(x[:, 1:] - x[:, :-1])),
}


def random_causal(seed: int) -> keras.Model:
    """A stack of two to five causal layers drawn at random; its input is `x` (batch, time, 4)."""
    draw = random.Random(seed)
    x = inputs = keras.Input((None, 4), name="x")
    for _ in range(draw.randint(2, 5)):
        x = draw.choice(_LAYERS)(draw, x)
    if draw.random() < 0.3:
        x = L.GRU(3)(x)
    return randomise(keras.Model(inputs, x), seed=seed)


def _recurrent(draw: random.Random, x: Any) -> Any:
    kind = draw.choice([L.LSTM, L.GRU, L.SimpleRNN])
    y = kind(draw.randint(1, 5), return_sequences=True, use_bias=draw.random() < 0.8)(x)
    return L.Concatenate()([x, y]) if draw.random() < 0.3 else y


def _convolution(draw: random.Random, x: Any) -> Any:
    padding, strides = draw.choice(["causal", "causal", "valid"]), draw.choice([1, 1, 2, 3])
    dilation = 1 if strides > 1 else draw.choice([1, 2, 3])
    kind = draw.choice([L.Conv1D, L.SeparableConv1D]) if padding == "valid" and dilation == 1 else L.Conv1D
    return kind(draw.randint(1, 4), draw.randint(1, 4), strides=strides, dilation_rate=dilation, padding=padding)(x)


def _memoryless(draw: random.Random, x: Any) -> Any:
    layer = draw.choice([L.Dense(3, activation="tanh"), L.LayerNormalization(), L.BatchNormalization(), L.Dropout(0.5)])
    return layer(x)


def _pooling(draw: random.Random, x: Any) -> Any:
    size = draw.randint(1, 3)
    return draw.choice([L.MaxPooling1D, L.AveragePooling1D])(size, draw.randint(1, size))(x)


def _own(draw: random.Random, x: Any) -> Any:
    cells = [
        user_cells.MinimalCell(3),
        user_cells.ManyStatesCell(2, 3),
        L.StackedRNNCells([L.GRUCell(2), L.LSTMCell(3)]),
        L.StackedRNNCells([user_cells.MinimalCell(2), L.GRUCell(3), user_cells.ReadoutCell(2, 4)]),
    ]
    layers = [L.RNN(draw.choice(cells), return_sequences=True), CausalConv(), Deltas(), RunningMean()]
    return draw.choice(layers)(x)


def _attention(draw: random.Random, x: Any) -> Any:
    return L.MultiHeadAttention(2, 3, sliding_window=draw.randint(1, 6))(x, x, use_causal_mask=True)


_LAYERS = (_recurrent, _recurrent, _convolution, _convolution, _memoryless, _pooling, _own, _attention)
