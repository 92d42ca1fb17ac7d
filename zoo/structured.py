"""Synced sequences whose outputs depend on each other, not on the input alone."""

import keras

from zoo.blocks import logits_head, recurrent_stack, sequence_dropout, sequence_inputs
from zoo.cells import Cell
from zoo.fields import NaturalNumber, PositiveInt, Rate, Units, VocabularySize
from zoo.layers import CRF, CRFModel
from zoo.registry import register_model
from zoo.specs import TaskShape


@register_model(
    shape=TaskShape.MANY_TO_MANY,
    inputs={"features": "batch time features", "token_ids": "batch time < vocabulary"},
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
