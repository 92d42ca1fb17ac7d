"""One output for each input step."""

import keras

from zoo.blocks import SEQUENCE, logits_head, recurrent_stack, scores_at_each_step, sequence_dropout, sequence_inputs
from zoo.cells import Cell
from zoo.fields import PositiveInt, Rate, Units, VocabularySize
from zoo.layers import FoldTime, TiedEmbedding, UnfoldTime
from zoo.registry import register_model
from zoo.specs import TaskShape


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes"},
    streamable=lambda config: not config["bidirectional"],
    references=(
        "Elman 1990, doi:10.1207/s15516709cog1402_1",
        "Graves & Schmidhuber 2005, doi:10.1016/j.neunet.2005.06.042",
        "Huang, Xu & Yu 2015, arXiv:1508.01991",
    ),
    tiny={"features": 4, "classes": 2, "units": (3,)},
)
def sequence_tagger(
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
    """Names a class for each step of a sequence, from the hidden state at that step.

    Equation:
        h_t = cell(x_t, h_{t-1}), for each layer of the stack
        logits_t = W h_t + b; bidirectional: h_t of both directions side by side

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes, which is the number of logits at each step.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        bidirectional: Whether each layer also reads the sequence backwards.
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
        bidirectional=bidirectional,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
    )

    # Head: (batch, time, width) -> (batch, time, classes)
    return scores_at_each_step(inputs, x, classes, dropout=dropout, name="sequence_tagger")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={"token_ids": "batch time < vocabulary"},
    outputs={"logits": "batch time vocabulary"},
    streamable=True,
    references=(
        "Mikolov et al. 2010, doi:10.21437/Interspeech.2010-343",
        "Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329",
        "Press & Wolf 2017, arXiv:1608.05859",
    ),
    tiny={"vocabulary": 7, "units": (3,), "embedding": 5},
)
def language_model(
    *,
    vocabulary: VocabularySize,
    cell: Cell = "lstm",
    units: Units = (256,),
    embedding: PositiveInt = 128,
    tied: bool = False,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
) -> keras.Model:
    """Scores the next token at each step, from the tokens up to that step.

    Equation:
        h_t = cell(E x_t, h_{t-1}), for each layer of the stack
        logits_t = W h_t + b, the scores of x_{t+1}
        tied: logits_t = E^T (P h_t), E the embedding; P, where the widths differ, maps the state to its size

    Args:
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        embedding: Size of the vector that stands for a token.
        tied: Whether the output layer is the transposed embedding, which saves vocabulary x width weights.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.

    Returns:
        A model from `token_ids` (batch, time) to `logits` (batch, time, vocabulary).
        The mask travels to the logits: Keras losses leave padding out.
    """
    # Inputs: (batch, time) -> (batch, time, embedding)
    inputs = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    make_table = TiedEmbedding if tied else keras.layers.Embedding
    table = make_table(vocabulary, embedding, mask_zero=True, name="embedding")
    x = table(inputs)

    # Body: (batch, time, embedding) -> (batch, time, width)
    x = recurrent_stack(
        x,
        cell=cell,
        units=units,
        bidirectional=False,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
    )

    # Head: (batch, time, width) -> (batch, time, vocabulary)
    x = sequence_dropout(x, dropout, name="dropout")
    if not tied:
        return keras.Model(inputs, logits_head(x, vocabulary), name="language_model")
    if units[-1] != embedding:
        x = keras.layers.Dense(embedding, use_bias=False, name="to_embedding")(x)
    logits = keras.layers.Identity(dtype="float32", name="logits")(table(x, reverse=True))
    return keras.Model(inputs, logits, name="language_model")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={"token_ids": "batch time < vocabulary", "character_ids": "batch time word_length < characters"},
    outputs={"logits": "batch time classes"},
    streamable=lambda config: not config["bidirectional"],
    references=(
        "Ma & Hovy 2016, doi:10.18653/v1/P16-1101",
        "Plank, Soegaard & Goldberg 2016, doi:10.18653/v1/P16-2067",
    ),
    tiny={"vocabulary": 7, "characters": 6, "word_length": 5, "classes": 2, "filters": 3, "units": (3,)},
)
def character_tagger(
    *,
    vocabulary: VocabularySize,
    characters: VocabularySize,
    word_length: PositiveInt = 16,
    classes: PositiveInt,
    character_embedding: PositiveInt = 32,
    filters: PositiveInt = 64,
    kernel: PositiveInt = 3,
    cell: Cell = "lstm",
    units: Units = (64,),
    bidirectional: bool = True,
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
) -> keras.Model:
    """Names a class for each word, from the word and its spelling: unknown words still have a beginning and an end.

    Equation:
        s_t = max_i tanh(sum_j K_j c_{t,i+j} + b), c_{t,i} the vector of word t's i-th character
        h_t = cell([E w_t; s_t], h_{t-1}), for each layer of the stack; bidirectional: both directions side by side
        logits_t = W h_t + b

    Args:
        vocabulary: Number of word ids; id 0 is padding and is skipped.
        characters: Number of character ids; id 0 fills words up.
        word_length: How many characters of a word are read; shorter words are filled up.
        classes: Number of classes, which is the number of logits at each step.
        character_embedding: Size of the vector that stands for a character.
        filters: Filters of the convolution over a word's characters.
        kernel: How many neighbouring characters a filter sees.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        bidirectional: Whether each layer also reads the sequence backwards.
        embedding: Size of the vector that stands for a word.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.

    Returns:
        A model from `token_ids` (batch, time) and `character_ids` (batch, time, word_length) to `logits` (batch, time,
        classes). The mask travels to the logits: Keras losses leave padding out.
    """
    # Inputs
    words = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    spelling = keras.Input(shape=(None, word_length), dtype="int32", name="character_ids")

    # Body: (batch, time, word_length) -> (batch x time, word_length, size) -> (batch, time, filters) -> ... with words
    x = keras.layers.Embedding(characters, character_embedding, name="character_embedding")(
        FoldTime(name="fold")(spelling)
    )
    x = keras.layers.Conv1D(filters, kernel, padding="same", activation="tanh", name="conv")(x)
    # Keras joins masks by "or", a missing one counting as all steps: the spelling needs its own.
    x = UnfoldTime(0, name="unfold")([keras.layers.GlobalMaxPooling1D(name="max")(x), spelling])
    meaning = keras.layers.Embedding(vocabulary, embedding, mask_zero=True, name="embedding")(words)
    x = recurrent_stack(
        keras.layers.Concatenate(name="word_and_spelling")([meaning, x]),
        cell=cell,
        units=units,
        bidirectional=bidirectional,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
    )

    # Head: (batch, time, width) -> (batch, time, classes)
    inputs = {"token_ids": words, "character_ids": spelling}
    return scores_at_each_step(inputs, x, classes, dropout=dropout, name="character_tagger")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={"frames": "batch time height width channels"},
    outputs={"logits": "batch time classes"},
    streamable=lambda config: not config["bidirectional"],
    references=("Donahue et al. 2015, arXiv:1411.4389",),
    tiny={"height": 6, "width": 5, "channels": 2, "classes": 2, "filters": (3,), "units": (3,)},
)
def frame_labeler(
    *,
    height: PositiveInt,
    width: PositiveInt,
    channels: PositiveInt = 3,
    classes: PositiveInt,
    filters: Units = (16, 32),
    cell: Cell = "lstm",
    units: Units = (64,),
    bidirectional: bool = False,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Names a class for each frame of a video: a convolution per frame, then recurrence over the frames.

    Equation:
        v_t = flat(conv(... conv(frame_t))), each a 3 x 3 convolution with stride 2 and relu, the same for all frames
        h_t = cell(v_t, h_{t-1}), for each layer of the stack
        logits_t = W h_t + b; bidirectional: h_t of both directions side by side

    Args:
        height: Rows of a frame.
        width: Columns of a frame.
        channels: Values of a pixel.
        classes: Number of classes, which is the number of logits for each frame.
        filters: Filters of each convolution, from the frame up.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the convolutions up.
        bidirectional: Whether each layer also reads the video backwards.
        dropout: Share of what each recurrent layer reads that is dropped in training, the same at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Frames whose pixels all equal this value are padding and are skipped.

    Returns:
        A model from `frames` (batch, time, height, width, channels) to `logits` (batch, time, classes).
        The mask travels to the logits: Keras losses leave padding out.
    """
    # Inputs
    frames = keras.Input(shape=(None, height, width, channels), dtype="float32", name="frames")

    # Body: (batch, time, height, width, channels) -> (batch x time, height, width, channels) -> (batch, time, size)
    x = FoldTime(name="fold")(frames)
    for i, count in enumerate(filters, start=1):
        x = keras.layers.Conv2D(count, 3, strides=2, padding="same", activation="relu", name=f"conv_{i}")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = UnfoldTime(mask_value, name="unfold")([x, frames])
    x = recurrent_stack(
        x,
        cell=cell,
        units=units,
        bidirectional=bidirectional,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=True,
    )

    # Head: (batch, time, width) -> (batch, time, classes)
    return scores_at_each_step(frames, x, classes, dropout=dropout, name="frame_labeler")
