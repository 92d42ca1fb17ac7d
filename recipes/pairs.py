"""Pairs of sequences, one to read and one to write: what translating and spelling out have in common."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from recipes import judging
from recipes.data import Arrays, Column, Data, Ragged, Split
from recipes.recipe import Deployment, Objective, RecipeConfig
from recipes.report_attention import attention_map
from recipes.vocabulary import END, SPECIAL, START, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    import keras

Tokens = Sequence[str]
SOURCE = "encoder_token_ids"
WRITTEN = {"": "generated_ids", "_greedy": "greedy_ids"}
"""What is behind a metric's name -> the output that it is of: the beam search's, unless something is."""


@dataclasses.dataclass(frozen=True)
class Pairs(Split):
    """A part of such data.

    Attributes:
        sources: What is read, in tokens.
        references: What should be written, in tokens, those among them that the vocabulary lacks.
        vocabulary: Of what is written.
    """

    sources: tuple[Tokens, ...]
    references: tuple[Tokens, ...]
    vocabulary: Vocabulary

    @classmethod
    def of(
        cls, sources: Sequence[Tokens], references: Sequence[Tokens], read: Vocabulary, write: Vocabulary
    ) -> "Pairs":
        """Makes the arrays for teacher forcing: the decoder reads a start and the target without its last token.

        Args:
            sources: What is read, in tokens.
            references: What should be written.
            read: The vocabulary of the sources.
            write: The vocabulary of the references.

        Returns:
            `encoder_token_ids`, `decoder_token_ids`, and targets that end with the end.
        """
        known = [write.ids(tokens) for tokens in references]
        inputs = {
            SOURCE: Ragged.of((read.ids(tokens) for tokens in sources), dtype="int32"),
            "decoder_token_ids": Ragged.of(([START, *ids] for ids in known), dtype="int32"),
        }
        targets = Ragged.of(([*ids, END] for ids in known), dtype="int32")
        return cls(inputs, targets, tuple(sources), tuple(references), write)

    @property
    def to_read(self) -> "Pairs":
        """The same pairs for a generator, which is given the sources alone."""
        return dataclasses.replace(self, inputs={SOURCE: self.inputs[SOURCE]}, targets=np.arange(len(self)))

    def written(self, ids: Column) -> list[list[str]]:
        """Reads what a generator wrote.

        Args:
            ids: Of each pair (1, max_length) or (max_length,).

        Returns:
            The tokens of each, without the end.
        """
        return [self.vocabulary.read(np.ravel(ids[row])) for row in range(len(self))]


def metadata(read: Vocabulary, write: Vocabulary, tokenisation: str) -> dict[str, Any]:
    """Says what a file's numbers stand for, in the words of `export.TextGenerator`.

    Args:
        read: The vocabulary of the sources.
        write: The vocabulary of what is written.
        tokenisation: `"words"` or `"characters"`.

    Returns:
        What the manifest tells.
    """
    return {
        "source_vocabulary": list(read.tokens),
        "vocabulary": list(write.tokens),
        "tokenisation": tokenisation,
        "start_id": START,
        "end_id": END,
        "unknown_id": UNKNOWN,
    }


def objective() -> Objective:
    """Lowers the mean cross-entropy of the next token under teacher forcing; padding has no weight."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    # The mean over the steps of a whole epoch, where the loss is a mean over batches of different sizes.
    exact = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy")
    accuracy = keras.metrics.SparseCategoricalAccuracy("token_accuracy")
    return Objective(loss, (exact, accuracy), "val_cross_entropy", "min")


def beam_search(model: "keras.Model", limits: Mapping[str, Any]) -> "keras.Model":
    """Makes a model that writes with a beam search.

    Args:
        model: A trained encoder-decoder.
        limits: `max_length`, `beam_width` and `length_penalty`.

    Returns:
        From `encoder_token_ids` to `generated_ids` (batch, 1, max_length) and more, see `zoo.generation.generator`.
    """
    from zoo.generation import generator

    return generator(model, way="beam", start_id=START, end_id=END, **limits)


def deployments(
    recipe: RecipeConfig, model: "keras.Model", data: Data, limits: Mapping[str, Any], name: str
) -> tuple[Deployment, ...]:
    """Says what is judged, and what is exported.

    Args:
        recipe: Judges what files write.
        model: A trained encoder-decoder.
        data: Its test part is judged on.
        limits: See `beam_search`.
        name: The stem of the generator's files.

    Returns:
        First what the recipe judges, which is no file: beam search, greedy search and teacher forcing side by side.
        Then the model, judged by teacher forcing, and the generator, judged by what it writes.
    """
    import keras

    from zoo.generation import generator

    beam = beam_search(model, limits)
    greedy = generator(model, way="greedy", max_length=limits["max_length"], start_id=START, end_id=END)
    inputs = {tensor.name: tensor for tensor in model.inputs}
    source = {SOURCE: inputs[SOURCE]}
    outputs = {
        "logits": model(inputs),
        "generated_ids": beam(source)["generated_ids"],
        "greedy_ids": greedy(source)["generated_ids"],
    }
    sources = data.test.to_read

    def metrics(path: Path) -> Mapping[str, float]:
        import export

        return recipe.judge(judging.outputs_on(recipe, export.load_runtime(path), sources), sources).metrics

    return (
        Deployment(keras.Model(inputs, outputs, name=f"{model.name}_judged"), formats=()),
        Deployment(model),
        Deployment(beam, name=name, metrics=metrics, example=sources.batch(np.arange(1))[0]),
    )


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


def perplexity(nll: Column) -> float:
    """Gives the perplexity of the targets.

    Args:
        nll: -log p of each of their tokens.
    """
    return float(np.exp(np.mean(nll.values if isinstance(nll, Ragged) else nll, dtype="float64")))


def condense(outputs: Arrays, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Keeps of a batch's outputs what metrics are made of.

    Args:
        outputs: Any of `logits` (batch, time, vocabulary), `generated_ids` and `greedy_ids`.
        targets: (batch, time).

    Returns:
        `nll` (batch, time), -log p of each target, and the ids (batch, 1, max_length).
    """
    kept = {name: outputs[name] for name in WRITTEN.values() if name in outputs}
    # An axis in front keeps what was written apart from sequences that have a step for each of the target's.
    small = {name: ids.reshape(len(ids), 1, -1) for name, ids in kept.items()}
    if "logits" in outputs:
        small["nll"] = negative_log_likelihood(outputs["logits"], targets)
    return small


def negative_log_likelihood(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Gives -log p of each target.

    Args:
        logits: (..., vocabulary).
        targets: (...).

    Returns:
        (...) float32.
    """
    highest = logits.max(axis=-1, keepdims=True)
    total = np.log(np.exp(logits - highest).sum(axis=-1)) + highest[..., 0]
    return (total - np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]).astype("float32")
