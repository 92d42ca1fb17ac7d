"""One vector or one image in, a sequence out."""

from typing import Any, Literal

import keras

from zoo.blocks import logits_head, sequence_dropout
from zoo.cells import Cell, recurrent_layer
from zoo.fields import PositiveInt, Rate, Units, VocabularySize
from zoo.layers import AppendContext, PaddingMask
from zoo.registry import register_model
from zoo.specs import TaskShape

ContextPath = Literal["input", "state", "both"]
"""How the context reaches the recurrence."""


@register_model(
    shape=TaskShape.ONE_TO_MANY,
    inputs={"vector": "batch features", "token_ids": "batch time < vocabulary"},
    outputs={"logits": "batch time vocabulary"},
    streamable=True,
    references=("Goodfellow, Bengio & Courville 2016, Deep Learning, 10.2.4, figure 10.9",),
    tiny={"features": 4, "vocabulary": 7, "units": (3,), "embedding": 5},
)
def vector_to_sequence(
    *,
    features: PositiveInt,
    vocabulary: VocabularySize,
    cell: Cell = "lstm",
    units: Units = (128,),
    context: ContextPath = "both",
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
) -> keras.Model:
    """Writes a sequence of tokens from one vector: scores the next token at each step.

    Equation:
        input: h_t = cell([E y_{t-1}; v], h_{t-1}), h_0 = 0
        state: h_t = cell(E y_{t-1}, h_{t-1}), h_0 = tanh(W_0 v + b_0), for each state of each layer
        both: h_t = cell([E y_{t-1}; v], h_{t-1}), h_0 = tanh(W_0 v + b_0)
        logits_t = W h_t + b, the scores of y_t

    Args:
        features: Size of the vector v.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        context: How the vector comes in: beside each step's token, as the first state, or both.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.

    Returns:
        A model from `vector` (batch, features) and `token_ids` (batch, time), the tokens so far, beginning with a
        start token, to `logits` (batch, time, vocabulary). The mask travels to the logits.
    """
    # Inputs
    vector = keras.Input(shape=(features,), dtype="float32", name="vector")
    tokens = keras.Input(shape=(None,), dtype="int32", name="token_ids")

    # Body: (batch, features), (batch, time) -> (batch, time, width)
    x = keras.layers.Embedding(vocabulary, embedding, mask_zero=True, name="embedding")(tokens)
    x = _write(x, PaddingMask(name="mask")(tokens), vector, cell, units, context, dropout, recurrent_dropout)

    # Head: (batch, time, width) -> (batch, time, vocabulary)
    x = sequence_dropout(x, dropout, name="dropout")
    inputs = {"vector": vector, "token_ids": tokens}
    return keras.Model(inputs, logits_head(x, vocabulary), name="vector_to_sequence")


@register_model(
    shape=TaskShape.ONE_TO_MANY,
    inputs={
        "image": "batch height width channels",
        "image_features": "batch features",
        "token_ids": "batch time < vocabulary",
    },
    outputs={"logits": "batch time vocabulary"},
    streamable=True,
    references=("Vinyals et al. 2015, arXiv:1411.4555", "Karpathy & Li 2015, arXiv:1412.2306"),
    tiny={"height": 6, "width": 5, "channels": 2, "filters": (3,), "vocabulary": 7, "units": (3,), "embedding": 5},
)
def image_captioner(
    *,
    height: PositiveInt | None = None,
    width: PositiveInt | None = None,
    channels: PositiveInt | None = None,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize,
    filters: Units = (16, 32, 64),
    cell: Cell = "lstm",
    units: Units = (256,),
    context: ContextPath = "state",
    embedding: PositiveInt = 128,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
) -> keras.Model:
    """Writes a caption: a small convolutional network, or features computed before, then a language model.

    Equation:
        v = W_v mean(conv(... conv(image))) + b_v, each conv a 3 x 3 convolution with stride 2 and relu; or v = features
        input: h_t = cell([E y_{t-1}; v], h_{t-1}), h_0 = 0
        state: h_t = cell(E y_{t-1}, h_{t-1}), h_0 = tanh(W_0 v + b_0), for each state of each layer
        both: h_t = cell([E y_{t-1}; v], h_{t-1}), h_0 = tanh(W_0 v + b_0)
        logits_t = W h_t + b, the scores of y_t

    Args:
        height: Rows of the image; give height, width and channels, or features.
        width: Columns of the image.
        channels: Values of a pixel.
        features: Size of the features that another network made of the image.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        filters: Filters of each convolution, from the image up.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        context: How the image comes in: beside each step's token, as the first state, or both.
        embedding: Size of the vector that stands for a token, and of the one that stands for the image.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.

    Returns:
        A model from `image` (batch, height, width, channels) or `image_features` (batch, features), and `token_ids`
        (batch, time), the tokens so far, beginning with a start token, to `logits` (batch, time, vocabulary).

    Raises:
        ValueError: Neither a whole image nor features are given, or both.
    """
    # Inputs
    image_size = (height, width, channels)
    if any(size is None for size in image_size) == (features is None) or (features and any(image_size)):
        raise ValueError("give either height=, width= and channels= (an image) or features= (made of it before)")
    shape, name = ((features,), "image_features") if features else (image_size, "image")
    image = keras.Input(shape=shape, dtype="float32", name=name)
    tokens = keras.Input(shape=(None,), dtype="int32", name="token_ids")

    # Body: the image to (batch, embedding), then (batch, time) -> (batch, time, width)
    vector = image if features else _look(image, filters, embedding)
    x = keras.layers.Embedding(vocabulary, embedding, mask_zero=True, name="embedding")(tokens)
    x = _write(x, PaddingMask(name="mask")(tokens), vector, cell, units, context, dropout, recurrent_dropout)

    # Head: (batch, time, width) -> (batch, time, vocabulary)
    x = sequence_dropout(x, dropout, name="dropout")
    return keras.Model({name: image, "token_ids": tokens}, logits_head(x, vocabulary), name="image_captioner")


def _look(image: Any, filters: tuple[int, ...], size: int) -> Any:
    x = image
    for i, count in enumerate(filters, start=1):
        # (batch, height, width, channels) -> (batch, height / 2, width / 2, count)
        x = keras.layers.Conv2D(count, 3, strides=2, padding="same", activation="relu", name=f"conv_{i}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.layers.Dense(size, name="image_vector")(x)


def _write(
    x: Any,
    mask: Any,
    vector: Any,
    cell: Cell,
    units: tuple[int, ...],
    context: ContextPath,
    dropout: float,
    recurrent_dropout: float,
) -> Any:
    if context != "state":
        # (batch, time, embedding), (batch, features) -> (batch, time, embedding + features)
        x = AppendContext(name="with_context")(x, context=vector)
    for i, width in enumerate(units, start=1):
        layer = recurrent_layer(
            cell, width, name=f"{cell}_{i}", recurrent_dropout=recurrent_dropout, return_sequences=True
        )
        first = None
        if context != "input":
            first = [
                keras.layers.Dense(size, activation="tanh", name=f"first_{i}_{j}")(vector)
                for j, size in enumerate(layer.state_size, start=1)
            ]
        # The mask by name: beside an initial state, Keras doesn't look for it.
        x = layer(sequence_dropout(x, dropout, name=f"dropout_{i}"), initial_state=first, mask=mask)
    return x
