"""Pairs of sequences, one to read and one to write: what translating and spelling out have in common."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from recipes.data import Ragged
from recipes.report_attention import attention_map
from recipes.teacher_forcing import TargetSplit, Tokens, generator_metadata, teacher_forced
from recipes.vocabulary import END, SPECIAL, START, Vocabulary

if TYPE_CHECKING:
    import keras

SOURCE = "encoder_token_ids"


@dataclasses.dataclass(frozen=True)
class Pairs(TargetSplit):
    """A part of such data.

    Attributes:
        sources: What is read, in tokens.
    """

    sources: tuple[Tokens, ...]

    @classmethod
    def of(
        cls, sources: Sequence[Tokens], references: Sequence[Tokens], read: Vocabulary, write: Vocabulary
    ) -> "Pairs":
        """Makes the arrays for teacher forcing.

        Args:
            sources: What is read, in tokens.
            references: What should be written.
            read: The vocabulary of the sources.
            write: The vocabulary of the references.

        Returns:
            `encoder_token_ids`, `decoder_token_ids`, and targets.
        """
        written, targets = teacher_forced(references, write)
        inputs = {
            SOURCE: Ragged.of((read.ids(tokens) for tokens in sources), dtype="int32"),
            "decoder_token_ids": written,
        }
        return cls(inputs, targets, tuple(references), write, tuple(sources))


def metadata(read: Vocabulary, write: Vocabulary, targets: Ragged) -> dict[str, Any]:
    """Says what a file's numbers stand for, in the words of `export.TextGenerator`.

    Args:
        read: The vocabulary of the sources, words.
        write: The vocabulary of what is written, words.
        targets: What the training part writes.

    Returns:
        What the manifest tells.
    """
    return generator_metadata(write, targets) | {"source_vocabulary": list(read.tokens)}


def attention_maps(attending: "keras.Model", beam: "keras.Model", split: Pairs, count: int) -> Markup:
    """Draws where a model looks while it writes.

    Args:
        attending: With an output `attention`.
        beam: Writes.
        split: The first `count` of its pairs are drawn.
        count: How many.

    Returns:
        The figures.
    """
    figures = []
    for row in range(count):
        source, _, _ = split.to_read.batch(np.array([row]))
        ids = np.ravel(beam(source)["generated_ids"])
        tokens = [*split.vocabulary.read(ids), SPECIAL[END]]
        read = np.array([[START, *ids[: len(tokens) - 1]]], "int32")
        weights = np.asarray(attending({**source, "decoder_token_ids": read})["attention"])[0]
        text = f"attention from {' '.join(split.sources[row])!r} to {' '.join(tokens)!r}"
        figures.append(attention_map(weights, tokens, split.sources[row], text))
    return Markup("").join(figures)
