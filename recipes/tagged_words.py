"""Tagged words as numbers, and what is shown of a tagger: for the recipes that name the tag of each word."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.data import Column, Data, Ragged, Split
from recipes.recipe import Objective, Verdict
from recipes.tables import Sentence
from recipes.tagging import MODEL, Tagger
from recipes.text import TextSplit
from recipes.text_classification import confusion_counts, macro_f1
from recipes.vocabulary import PADDING, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    import keras

    from recipes.report import Section

SENTENCES, CONFUSIONS = 10, 12
"""How many sentences with mistakes the report shows, and how many pairs of tags that are taken for each other."""


def tagging_data(recipe: Tagger, parts: Mapping[str, Sequence[Sentence]], summary: str) -> Data:
    """Turns tagged sentences into ids, by the words, characters and tags of the training part.

    Args:
        recipe: How to read a word.
        parts: `train`, `validation` and `test`.
        summary: One sentence on the data.

    Returns:
        The data, with metadata for `read_words`. Its labels are the tags of all parts: a tag that the training part
        lacks has a class that no model learns to name.
    """
    import zoo

    train = parts["train"]
    words = Vocabulary.of([[word.lower() for word in sentence.tokens] for sentence in train])
    letters = Vocabulary.of([list(word) for sentence in train for word in sentence.tokens])
    tags = sorted({tag for sentences in parts.values() for sentence in sentences for tag in sentence.tags})
    reading = {
        "tokenisation": "words",
        "lowercase": True,
        "vocabulary": list(words.tokens),
        "padding_id": PADDING,
        "unknown_id": UNKNOWN,
    }
    spelled = recipe.model not in zoo.list_models() or "characters" in zoo.get_spec(recipe.model).fields
    if spelled:
        reading |= {"characters": list(letters.tokens), "word_length": recipe.word_length}
    places = {tag: place for place, tag in enumerate(tags)}

    def split(sentences: Sequence[Sentence]) -> TextSplit:
        rows = read_words([sentence.tokens for sentence in sentences], reading)
        inputs = {name: Ragged.of(column, dtype="int32") for name, column in rows.items()}
        targets = Ragged.of([[places[tag] for tag in sentence.tags] for sentence in sentences], dtype="int32")
        return TextSplit(inputs, targets, [sentence.tokens for sentence in sentences], tuple(tags))

    data = Data(
        **{part: split(sentences) for part, sentences in parts.items()},
        summary=summary,
        labels=tuple(tags),
        preprocessing=_preprocessing(recipe, spelled),
        metadata=reading,
    )
    return dataclasses.replace(data, augment=_hide_words(recipe, data)) if recipe.word_dropout else data


def read_words(sentences: Sequence[Sequence[str]], metadata: Mapping[str, Any]) -> dict[str, list[np.ndarray]]:
    """Turns words into what a tagger reads, by nothing but the metadata of its exported file.

    Args:
        sentences: The words of each.
        metadata: As `tagging_data` gives it, or as `export.load_runtime(file).metadata` does.

    Returns:
        `token_ids`, an array (time,) for each sentence, and for a model that reads spelling `character_ids`,
        (time, word_length).
    """
    words = Vocabulary(tuple(metadata["vocabulary"]))
    rows = {"token_ids": [np.array(words.ids(map(str.lower, sentence)), "int32") for sentence in sentences]}
    if "characters" not in metadata:
        return rows
    letters, length = Vocabulary(tuple(metadata["characters"])), metadata["word_length"]
    known: dict[str, np.ndarray] = {}
    for word in {word for sentence in sentences for word in sentence}:
        known[word] = np.full(length, PADDING, "int32")
        ids = letters.ids(word[-length:])
        known[word][: len(ids)] = ids
    return rows | {"character_ids": [np.stack([known[word] for word in sentence]) for sentence in sentences]}


def build(recipe: Tagger, data: Data) -> "keras.Model":
    """Builds a tagger.

    Args:
        recipe: Names the model and its sizes.
        data: What it is to read.

    Returns:
        A model from `token_ids` (batch, time) and perhaps `character_ids` (batch, time, word_length) to `logits`, and
        to `tags` where it names the tags of a sentence jointly.

    Raises:
        UsageError: There is no such model, or it does not fit: it reads or gives something else.
    """
    from recipes import models

    task = {"vocabulary": len(data.metadata["vocabulary"]), "classes": len(data.labels)}
    if "characters" in data.metadata:
        task |= {"characters": len(data.metadata["characters"]), "word_length": recipe.word_length}
    return models.build(recipe, recipe.model, MODEL, task, also=("tags",))


def tagging_objective(recipe: Tagger) -> Objective:
    """Lowers the cross-entropy of a word's tag; the epoch that names most tags of the validation part is kept.

    Args:
        recipe: Names the model: one that names the tags of a sentence jointly has a loss of its own, their likelihood.
    """
    import keras

    import zoo

    if recipe.model in zoo.list_models() and "tags" in zoo.get_spec(recipe.model).outputs:
        return Objective(None, (keras.metrics.Accuracy("accuracy"),), "val_accuracy", "max")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    return Objective(loss, (keras.metrics.SparseCategoricalAccuracy("accuracy"),), "val_accuracy", "max")


def verdict(outputs: "Mapping[str, Column]", split: Split, metric: str) -> Verdict:
    """Judges a tagger.

    Args:
        outputs: `tags` (words,) of each sentence, as the recipe's `condense` makes them.
        split: The part that they are of.
        metric: What to call the share of words whose tag was named.

    Returns:
        That share, the same for words that the training part lacks, and the F1 score averaged over the tags; pictures
        where the part has words.
    """
    truth, named = split.targets.values, outputs["tags"].values
    right, unknown = truth == named, split.inputs["token_ids"].values == UNKNOWN
    classes = 1 + int(max(truth.max(), named.max()))
    metrics = {metric: float(right.mean())}
    if unknown.any():
        metrics[f"unknown_word_{metric}"] = float(right[unknown].mean())
    metrics["macro_f1"] = macro_f1(confusion_counts(truth, named, classes))
    if not isinstance(split, TextSplit):
        return Verdict(metrics)
    counts = confusion_counts(truth, named, len(split.labels))
    pictures = (_confusion, _most_confused)
    return Verdict(
        metrics, (*(functools.partial(draw, counts, split) for draw in pictures), lambda: _mistakes(named, split))
    )


def _preprocessing(recipe: Tagger, spelled: bool) -> dict[str, str]:
    how = {"token_ids": "each word in lower case: its place in vocabulary, unknown_id for what is not there"}
    if spelled:
        how["character_ids"] = (
            f"each word's last {recipe.word_length} characters: their places in characters, unknown_id for what is not "
            "there, padding_id to fill up on the right"
        )
    return how


def _hide_words(recipe: Tagger, data: Data) -> Any:
    """Rare words are hidden now and then, so that the model learns what to do about unknown ones."""
    counts = np.bincount(data.train.inputs["token_ids"].values, minlength=len(data.metadata["vocabulary"]))
    rates = recipe.word_dropout / (recipe.word_dropout + np.maximum(counts, 1))
    rates[PADDING] = 0

    def hide(inputs: dict[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        ids = inputs["token_ids"]
        drawn = tf.random.stateless_uniform(tf.shape(ids), seed)
        hidden = tf.where(drawn < tf.gather(tf.constant(rates, tf.float32), ids), UNKNOWN, ids)
        return inputs | {"token_ids": hidden}

    return hide


def _confusion(counts: np.ndarray, split: TextSplit) -> "Section":
    from recipes import report

    caption = f"The {counts.sum():,} words of the {len(split):,} test sentences."
    return report.Section("Confusion matrix", report.confusion_matrix(counts, split.labels), caption)


def _most_confused(counts: np.ndarray, split: TextSplit) -> "Section":
    from recipes import report

    wrong = counts - np.diag(counts.diagonal())
    order = [place for place in np.argsort(-wrong, axis=None, kind="stable") if wrong.flat[place]][:CONFUSIONS]
    rows = []
    for place in order:
        truth, named = divmod(int(place), len(split.labels))
        share = f"{wrong[truth, named] / wrong.sum():.1%}"
        rows.append((split.labels[truth], split.labels[named], int(wrong[truth, named]), share))
    table = report.table(("truth", "named", "words", "of all mistakes"), rows)
    return report.Section("The tags that are confused most", table, f"{wrong.sum():,} words got a wrong tag.")


def _mistakes(named: np.ndarray, split: TextSplit) -> "Section":
    from recipes import report, report_text

    starts, lengths = split.targets.starts, split.targets.lengths
    wrong = np.add.reduceat(split.targets.values != named, starts)
    # Those with mistakes, evenly spread over the part, of a length that can be read.
    rows = [row for row in np.flatnonzero(wrong) if 4 <= lengths[row] <= 40] or list(np.flatnonzero(wrong))
    figures = []
    for row in rows[:: max(1, len(rows) // SENTENCES)][:SENTENCES]:
        words, span = split.texts[row], slice(starts[row], starts[row] + lengths[row])
        tags = [[split.labels[place] for place in column[span]] for column in (split.targets.values, named)]
        figures.append(report_text.tagged(words, *tags, f"{wrong[row]} of {len(words)} words"))
    caption = f"{np.count_nonzero(wrong):,} of {len(split):,} sentences have a mistake; struck out is what was named."
    return report.Section("Sentences with mistakes", report_text.stack(figures), caption)
