"""Models that write are trained on the right beginning of each text, and judged by what they write by themselves."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recipes import judging
from recipes.data import Arrays, Column, Data, Ragged, Split
from recipes.recipe import Deployment, Objective, RecipeConfig
from recipes.vocabulary import END, NEVER_WRITTEN, START, UNKNOWN, Vocabulary, never_written

if TYPE_CHECKING:
    import keras

Tokens = Sequence[str]
GENERATED, GREEDY = "generated_ids", "greedy_ids"
TOKEN_INPUTS = ("token_ids", "decoder_token_ids")
"""What the input that a model writes its own output to is called."""


@dataclasses.dataclass(frozen=True)
class TargetSplit(Split):
    """A part of such data.

    Attributes:
        references: What should be written, in tokens, those among them that the vocabulary lacks.
        vocabulary: Of what is written.
    """

    references: tuple[Tokens, ...]
    vocabulary: Vocabulary

    @property
    def to_read(self) -> Self:
        """The same examples for a generator, which is given no tokens but its own."""
        inputs = {name: column for name, column in self.inputs.items() if name not in TOKEN_INPUTS}
        return dataclasses.replace(self, inputs=inputs, targets=np.arange(len(self)))

    def written(self, ids: Column) -> list[list[str]]:
        """Reads what a generator wrote.

        Args:
            ids: Of each example (1, max_length) or (max_length,).

        Returns:
            The tokens of each, without the end.
        """
        return [self.vocabulary.read(np.ravel(ids[row])) for row in range(len(self))]


def teacher_forced(references: Sequence[Tokens], vocabulary: Vocabulary) -> tuple[Ragged, Ragged]:
    """Makes what a model reads and what it should say next.

    Args:
        references: What should be written.
        vocabulary: Of the references.

    Returns:
        A start and the reference; the reference and an end.
    """
    known = [vocabulary.ids(tokens) for tokens in references]
    read = Ragged.of(([START, *ids] for ids in known), dtype="int32")
    return read, Ragged.of(([*ids, END] for ids in known), dtype="int32")


def generator_metadata(vocabulary: Vocabulary, targets: Ragged) -> dict[str, Any]:
    """Says what a generator's numbers stand for, in the words of `export.TextGenerator`.

    Args:
        vocabulary: Of what is written, words.
        targets: What the training part writes.

    Returns:
        What the manifest tells.
    """
    return {
        "vocabulary": list(vocabulary.tokens),
        "tokenisation": "words",
        "start_id": START,
        "end_id": END,
        "unknown_id": UNKNOWN,
        **never_written(np.unique(targets.values).tolist()),
    }


def objective() -> Objective:
    """Lowers the mean cross-entropy of the next token under teacher forcing; padding has no weight."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    # The mean over the steps of a whole epoch, where the loss is a mean over batches of different sizes.
    exact = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="cross_entropy")
    accuracy = keras.metrics.SparseCategoricalAccuracy("token_accuracy")
    return Objective(loss, (exact, accuracy), "val_cross_entropy", "min")


def generator(model: "keras.Model", data: Data, way: str, limits: Mapping[str, Any]) -> "keras.Model":
    """Makes a model that writes from the start to the end of a text.

    Args:
        model: Trained by teacher forcing.
        data: Its metadata say which tokens are never written.
        way: `"greedy"` or `"beam"`.
        limits: `max_length`, and of a beam search `beam_width` and `length_penalty`.

    Returns:
        From the model's inputs but its tokens to `generated_ids` and more, see `zoo.generation.generator`.
    """
    from zoo.generation import generator

    forbidden = data.metadata[NEVER_WRITTEN]
    return generator(model, way=way, start_id=START, end_id=END, forbidden=forbidden, **limits)


def deployments(
    recipe: RecipeConfig, model: "keras.Model", data: Data, generators: Mapping[str, "keras.Model"], name: str
) -> tuple[Deployment, ...]:
    """Says what is judged, and what is exported.

    Args:
        recipe: Judges what files write.
        model: Trained by teacher forcing.
        data: Its test part is judged on.
        generators: Made of the model; the name that their output has for the recipe's `judge` -> generator. The one of
            `GENERATED` is exported.
        name: The stem of its files.

    Returns:
        First what the recipe judges, which is no file: all generators and teacher forcing side by side. Then the model,
        judged by teacher forcing, and the generator, judged by what it writes.
    """
    import keras

    inputs = {tensor.name: tensor for tensor in model.inputs}
    outputs = {"logits": model(inputs)}
    for output, writes in generators.items():
        outputs[output] = writes({tensor.name: inputs[tensor.name] for tensor in writes.inputs})[GENERATED]
    given = data.test.to_read

    def metrics(path: Path) -> Mapping[str, float]:
        import export

        return recipe.judge(judging.outputs_on(recipe, export.load_runtime(path), given), given).metrics

    return (
        Deployment(keras.Model(inputs, outputs, name=f"{model.name}_judged"), formats=()),
        Deployment(model),
        Deployment(generators[GENERATED], name=name, metrics=metrics, example=given.batch(np.arange(1))[0]),
    )


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
        `nll` (batch, time), -log p of each target, `right` (batch, time), whether it is the likeliest token, and the
        ids (batch, 1, max_length).
    """
    kept = {name: outputs[name] for name in (GENERATED, GREEDY) if name in outputs}
    # An axis in front keeps what was written apart from sequences that have a step for each of the target's.
    small = {name: ids.reshape(len(ids), 1, -1) for name, ids in kept.items()}
    if "logits" in outputs:
        small["nll"] = negative_log_likelihood(outputs["logits"], targets)
        small["right"] = outputs["logits"].argmax(axis=-1) == targets
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
