"""What recipes share that name the class of a text: their fields, their data, their judgement, their pictures."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from recipes.fields import Cell, Count, Dropout, Search
from recipes.recipe import Objective, RecipeConfig, Verdict

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Column, Data, Split
    from recipes.report import Section

MODEL = "sequence_classifier"
EXAMPLES, LOOKED_AT = 12, 4
"""How many texts the report shows with their classes, and how many with what the model looked at."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextClassifier(RecipeConfig):
    """The fields and the pictures of a recipe that names the class of a text."""

    model: str = MODEL
    """The model, any of the zoo from a sequence to a class."""
    cell: Cell = "lstm"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((32,), (64,), (128,), (64, 64)))] = (64,)
    """Width of each direction of each recurrent layer, from the input up."""
    bidirectional: Annotated[bool, Search()] = True
    """Read the text from its end, too."""
    pooling: Annotated[Literal["last", "mean", "max", "attention"], Search()] = "attention"
    """What stands for the text: the last state, or a mean, maximum or learned weighted mean of all."""
    embedding: Annotated[Count, Search(values=(32, 64, 128))] = 64
    """Size of the vector that stands for a token."""
    dropout: Dropout = 0.4
    """Share of what each layer reads that is dropped in training."""
    tokens: Literal["words", "characters"] = "words"
    """What a text is cut into."""
    vocabulary: Count = 20_000
    """How many different tokens the model knows at most; the rarer ones are all one."""
    longest: Count = 400
    """How many tokens of a text are read, those at its end: there reviewers come to their verdict."""

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows where the model's attention lay, where it has some."""
        from zoo.layers import AttentionPooling

        pooling = [layer for layer in model.layers if isinstance(layer, AttentionPooling)]
        return (lambda: _attention(model, pooling[0], data),) if pooling else ()


def classification_data(
    recipe: TextClassifier,
    parts: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    labels: Sequence[str],
    summary: str,
) -> "Data":
    """Turns texts into ids, by a vocabulary of the training part.

    Args:
        recipe: How to read a text.
        parts: `train`, `validation` and `test`: texts, and the label of each.
        labels: The classes, in the order of the outputs.
        summary: One sentence on the data.

    Returns:
        The data, with metadata for `recipes.text.TextReader`.
    """
    import numpy as np

    from recipes import text
    from recipes.data import Data, Ragged

    pattern = {"words": text.WORDS, "characters": text.CHARACTERS}[recipe.tokens]
    reading = text.describe(parts["train"][0], pattern=pattern, last=recipe.longest, size=recipe.vocabulary)
    read = text.TextReader(reading)
    places = {label: place for place, label in enumerate(labels)}

    def split(texts: Sequence[str], classes: Sequence[str]) -> text.TextSplit:
        tokens = Ragged.of(map(read, texts), dtype="int32")
        targets = np.array([places[label] for label in classes], "int32")
        return text.TextSplit({"token_ids": tokens}, targets, texts, tuple(labels))

    return Data(
        **{part: split(*columns) for part, columns in parts.items()},
        summary=summary,
        labels=tuple(labels),
        preprocessing={
            "token_ids": "the text in lower case; its tokens are the matches of the regular expression token_pattern; "
            f"of them the last {recipe.longest}; each token's place in vocabulary, unknown_id for what is not there"
        },
        metadata=reading,
    )


def build(recipe: TextClassifier, data: "Data") -> "keras.Model":
    """Builds a classifier that reads `token_ids` (batch, time) into `logits` (batch, classes)."""
    from recipes import models

    task = {"vocabulary": len(data.metadata["vocabulary"]), "classes": len(data.labels)}
    return models.build(recipe, recipe.model, MODEL, task)


def classification_objective() -> Objective:
    """Lowers the cross-entropy; the epoch that has it lowest on the validation part is kept."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Objective(loss, (keras.metrics.SparseCategoricalAccuracy("accuracy"),), "val_loss", "min")


def verdict(outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
    """Judges a classifier of texts.

    Args:
        outputs: `logits` (texts, classes).
        split: The part that they are of.

    Returns:
        Accuracy, and the F1 score averaged over the classes; confusion matrix and examples where the part has texts.
    """
    from recipes import text

    logits = outputs["logits"]
    counts = confusion_counts(split.targets, logits.argmax(axis=-1), logits.shape[-1])
    metrics = {"accuracy": float(counts.trace() / counts.sum()), "macro_f1": macro_f1(counts)}
    if not isinstance(split, text.TextSplit):
        return Verdict(metrics)

    def confusion() -> "Section":
        from recipes import report

        caption = f"The {len(split):,} test texts: which class they are of, and which one the model named."
        return report.Section("Confusion matrix", report.confusion_matrix(counts, split.labels), caption)

    return Verdict(metrics, (confusion, lambda: _examples(logits, split)))


def confusion_counts(truth: "np.ndarray", predicted: "np.ndarray", classes: int) -> "np.ndarray":
    """Counts how often each class was taken for each: (classes, classes), rows are the truth."""
    import numpy as np

    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (truth, predicted), 1)
    return counts


def macro_f1(counts: "np.ndarray") -> float:
    """The mean over the classes of 2 hits / (true + predicted); classes that are in neither don't count."""
    import numpy as np

    total = counts.sum(axis=0) + counts.sum(axis=1)
    there = total > 0
    return float(np.mean(2 * counts.diagonal()[there] / total[there]))


def _examples(logits: "np.ndarray", split: Any) -> "Section":
    """The mistakes that the model was surest of, then what it was least sure of."""
    import numpy as np

    from recipes import report, report_text

    share = np.exp(logits - logits.max(axis=-1, keepdims=True))
    sure = (share / share.sum(axis=-1, keepdims=True)).max(axis=-1)
    predicted = logits.argmax(axis=-1)
    wrong = predicted != split.targets
    mistakes = [row for row in np.argsort(-sure) if wrong[row]][: EXAMPLES * 2 // 3]
    open_ones = [row for row in np.argsort(sure) if not wrong[row]][: EXAMPLES - len(mistakes)]
    rows = [
        (
            report_text.verdict_mark(bool(not wrong[row])),
            split.labels[split.targets[row]],
            split.labels[predicted[row]],
            f"{sure[row]:.1%}",
            report_text.excerpt(split.texts[row]),
        )
        for row in (*mistakes, *open_ones)
    ]
    table = report.table(("", "truth", "named", "how sure", "how the text ends"), rows)
    caption = (
        f"{int(wrong.sum()):,} of {len(split):,} wrong: the surest of them first, then right ones of little surety."
    )
    return report.Section("Test texts", table, caption)


def _attention(model: "keras.Model", pooling: Any, data: "Data") -> "Section":
    import keras
    import numpy as np

    from recipes import judging, report, report_text, text
    from recipes.vocabulary import SPECIAL, UNKNOWN

    read = text.TextReader(data.metadata)
    # Keras counts the mask among what a layer reads.
    states = keras.tree.flatten(pooling.input)[0]
    looks = judging.keras_predict(keras.Model(model.input, {"states": states, "logits": model.output}))
    # The shorter ones, so that a page holds them whole.
    rows = data.test.lengths.argsort(kind="stable")[len(data.test) // 10 :: max(1, len(data.test) // 10)][:LOOKED_AT]
    figures = []
    for row in rows:
        inputs, (target,), _ = data.test.batch(np.array([row]))
        # One text without padding: all of its steps count.
        seen = looks(inputs)
        weights = keras.ops.convert_to_numpy(pooling.weights_of(seen["states"]))[0, :, 0]
        logits = seen["logits"][0]
        tokens = read.tokens(data.test.texts[row]) or [SPECIAL[UNKNOWN]]
        heading = f"{data.labels[logits.argmax()]}, truth {data.labels[target]}"
        figures.append(report_text.highlighted(tokens, weights, heading, logits.argmax() == target))
    caption = (
        "Four test texts as the model read them: the darker a word's ground, the more of the sequence's summary is the "
        "state at that word, which knows its neighbours too. Full colour is the largest weight of the text."
    )
    return report.Section("What the model looked at", report_text.stack(figures), caption)
