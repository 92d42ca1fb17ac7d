"""Synced sequences whose outputs depend on each other, not on the input alone."""

from typing import Literal

import keras

from zoo.blocks import SEQUENCE, logits_head, recurrent_stack, sequence_dropout, sequence_inputs
from zoo.cells import Cell, recurrent_layer
from zoo.fields import NaturalNumber, PositiveInt, Rate, Units, VocabularySize
from zoo.layers import (
    CRF,
    CRFModel,
    FeatureSlice,
    FeedbackCell,
    OutputRecurrentCell,
    ShiftedOneHot,
    TeacherForcing,
)
from zoo.layers.output_recurrent_cell import Recurrence as OutputRecurrence
from zoo.registry import register_model
from zoo.specs import TaskShape

Feedback = Literal["given", "best", "sampled"]


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs=SEQUENCE,
    outputs={"logits": "batch time classes", "tags": "batch time < classes"},
    streamable=False,
    references=(
        "Lafferty, McCallum & Pereira 2001, ICML, repository.upenn.edu/cis_papers/159",
        "Huang, Xu & Yu 2015, arXiv:1508.01991",
        "Lample et al. 2016, arXiv:1603.01360",
    ),
    tiny={"features": 4, "classes": 3, "units": (3,)},
)
def crf_tagger(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    cell: Cell = "lstm",
    units: Units = (64,),
    bidirectional: bool = True,
    forbidden: tuple[tuple[NaturalNumber, NaturalNumber], ...] = (),
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
    recurrent_dropout: Rate = 0.0,
    mask_value: float | None = None,
) -> keras.Model:
    """Names the tags of a sequence jointly: each tag's score depends on the tag before it.

    Trains with `model.compile(optimizer)` and `model.fit(x, tags)`: the loss, the negative log-likelihood of the tags,
    is the model's own. The layer `tags` has the likelihood and the transitions.

    Equation:
        e_t = W h_t + b, h_t the state at step t (of both directions, side by side)
        score(y) = start[y_1] + sum_t e_t[y_t] + sum_{t>1} transitions[y_{t-1}, y_t] + end[y_T]
        p(y) = exp score(y) / sum_{y'} exp score(y');  tags = argmax_y score(y)

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of tags.
        cell: The recurrent cell.
        units: Width of each recurrent layer, from the input up.
        bidirectional: Whether each layer also reads the sequence backwards.
        forbidden: Pairs (from, to) of tags that never follow each other.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what each layer reads that is dropped in training, the same features at every step.
        recurrent_dropout: Share of the previous state that is dropped in training.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time) to `logits` (batch, time, classes),
        the emission scores, and `tags` (batch, time), the best path; the tag of padding is 0.

    Raises:
        ValueError: Both or neither of features and vocabulary are given, or a forbidden pair names no tag.
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

    # Head: (batch, time, width) -> (batch, time, classes) -> (batch, time)
    logits = logits_head(sequence_dropout(x, dropout, name="dropout"), classes)
    tags = CRF(classes, forbidden, name="tags")(logits)
    return CRFModel(inputs, {"logits": logits, "tags": tags}, name="crf_tagger")


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={
        "features": "batch time features",
        "token_ids": "batch time < vocabulary",
        "true_outputs": "batch time targets if teacher_forcing=True",
    },
    outputs={"predictions": "batch time targets"},
    # With teacher forcing the true outputs are shifted inside of the model, which keeps no state of them.
    streamable=lambda config: not config["teacher_forcing"],
    references=("Jordan 1986, ICS report 8604, UCSD", "Goodfellow, Bengio & Courville 2016, Deep Learning, 10.2.1"),
    tiny={"features": 4, "targets": 2, "units": 3},
)
def output_recurrent(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    targets: PositiveInt = 1,
    units: PositiveInt = 64,
    recurrence: OutputRecurrence = "output-to-hidden",
    teacher_forcing: bool = False,
    embedding: PositiveInt = 64,
    mask_value: float | None = None,
) -> keras.Model:
    """Predicts numbers at each step; what comes back at the next step is the output, not the hidden state.

    Weaker than a hidden recurrence, but trained in parallel: with the true outputs given, no step waits for another.
    Build it twice, with and without `teacher_forcing`, and carry the trained weights over by `set_weights`.

    Equation:
        output-to-hidden: h_t = tanh(x_t W + o_{t-1} U + b),  o_t = h_t V + c
        output-to-output: h_t = tanh(x_t W + b),  o_t = h_t V + o_{t-1} U + c
        hidden-to-hidden, to compare with: h_t = tanh(x_t W + h_{t-1} U + b),  o_t = h_t V + c
        teacher forcing: the true y_{t-1} in place of o_{t-1}

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        targets: How many numbers to predict at each step.
        units: Width of the hidden layer.
        recurrence: What comes back from the step before, and into what.
        teacher_forcing: Whether the true outputs come in and stand for the model's own; padding then stands on the left
            or on the right, not between.
        embedding: Size of the vector that stands for a token.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time), with teacher forcing also
        `true_outputs` (batch, time, targets), to `predictions` (batch, time, targets).

    Raises:
        ValueError: Both or neither of features and vocabulary are given, or teacher forcing where no output comes back.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)

    # Body: (batch, time, size) -> (batch, time, targets)
    if teacher_forcing:
        true = keras.Input(shape=(None, targets), dtype="float32", name="true_outputs")
        outputs = TeacherForcing(units, targets, recurrence, name="recurrence")([x, true])
        inputs = {inputs.name: inputs, "true_outputs": true}
    else:
        cell = OutputRecurrentCell(units, targets, recurrence, name="cell")
        outputs = keras.layers.RNN(cell, return_sequences=True, name="recurrence")(x)

    # Head
    return keras.Model(
        inputs, keras.layers.Identity(dtype="float32", name="predictions")(outputs), name="output_recurrent"
    )


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={
        "features": "batch time features",
        "token_ids": "batch time < vocabulary",
        "true_labels": "batch time < classes if feedback=given",
        "noise": "batch time classes if feedback=sampled",
    },
    outputs={"logits": "batch time classes", "labels": "batch time < classes if feedback=best|sampled"},
    streamable=True,
    references=(
        "Goodfellow, Bengio & Courville 2016, Deep Learning, 10.2.4, figure 10.10",
        "Graves 2012, arXiv:1211.3711",
    ),
    tiny={"features": 4, "classes": 3, "units": 3},
)
def conditional_rnn(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: VocabularySize,
    cell: Cell = "lstm",
    units: PositiveInt = 64,
    feedback: Feedback = "given",
    embedding: PositiveInt = 64,
    mask_value: float | None = None,
) -> keras.Model:
    """Models any joint distribution of labels given inputs of the same length: each label comes back at the next step.

    Train with `feedback="given"`; to predict, build it again with `"best"` or `"sampled"` and carry the weights over
    by `set_weights`.

    Equation:
        p(y_1 ... y_T | x) = prod_t p(y_t | x_1 ... x_t, y_1 ... y_{t-1})
        h_t = cell([x_t; onehot(y_{t-1})], h_{t-1}),  logits_t = W h_t + b,  p(y_t | ...) = softmax(logits_t)
        best: y_t = argmax(logits_t);  sampled: y_t = argmax(logits_t + noise_t), noise_t = -log(-log(uniform))

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 is padding and is skipped.
        classes: Number of classes of a label.
        cell: The recurrent cell.
        units: Width of the state.
        feedback: Which label comes back: the given (true) one, the best one, or one sampled by the given noise. With
            given ones, padding stands on the left or on the right, not between.
        embedding: Size of the vector that stands for a token.
        mask_value: Steps whose features all equal this value are padding and are skipped.

    Returns:
        A model from `features` (batch, time, features) or `token_ids` (batch, time), and `true_labels` (batch, time)
        or `noise` (batch, time, classes) as the feedback asks, to `logits` (batch, time, classes), and `labels`
        (batch, time) where it chooses them.

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = sequence_inputs(features=features, vocabulary=vocabulary, embedding=embedding, mask_value=mask_value)
    inputs = {inputs.name: inputs}

    # Body: (batch, time, size) and (batch, time, classes) -> (batch, time, units)
    layer = recurrent_layer(cell, units, name=f"{cell}_1", return_sequences=True)
    if feedback == "given":
        inputs["true_labels"] = keras.Input(shape=(None,), dtype="int32", name="true_labels")
        before = ShiftedOneHot(classes, name="label_before")([inputs["true_labels"], x])
        x = layer(keras.layers.Concatenate(name="with_label")([x, before]))
        return keras.Model(inputs, logits_head(x, classes), name="conditional_rnn")
    if feedback == "sampled":
        inputs["noise"] = keras.Input(shape=(None, classes), dtype="float32", name="noise")
        x = keras.layers.Concatenate(name="with_noise")([x, inputs["noise"]])
    loop = FeedbackCell(layer.cell, classes, sampled=feedback == "sampled", name="feedback_cell")
    x = keras.layers.RNN(loop, return_sequences=True, name="feedback")(x)

    # Head: (batch, time, 2 classes) -> (batch, time, classes) and (batch, time)
    logits = FeatureSlice(0, classes, dtype="float32", name="logits")(x)
    labels = FeatureSlice(classes, 2 * classes, argmax=True, name="labels")(x)
    inputs = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return keras.Model(inputs, {"logits": logits, "labels": labels}, name="conditional_rnn")
