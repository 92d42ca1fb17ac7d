"""Python's reference manual, character by character."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from recipes import language_models
from recipes.fields import Count, Positive, Rate
from recipes.language_models import LanguageModelConfig
from recipes.recipe import Objective, Verdict, register_recipe

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data
    from recipes.language_data import TextRows

# The split is the task's, not the run's: seeds are compared on the same topics.
SPLIT_SEED = 0
HELD_OUT = {"test": 0.1, "validation": 0.1}
"""Part -> its share of the characters, in whole topics."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class PythonDocs(LanguageModelConfig):
    """Python's reference manual: learns to write its prose, character by character.

    The data are the topics of `pydoc_data`, which comes with every CPython (PSF licence), so that nothing is
    downloaded. Paragraphs that stand in several topics are read once.
    """

    PROMPTS: ClassVar = ("The following ", "If the object ")

    epochs: Count = 15
    """Passes over the training data."""
    learning_rate: Positive = 6e-3
    """Step size of Adam at the start."""
    dropout: Rate = 0.2
    """Share of what each layer reads that is dropped in training."""

    def load_data(self) -> "Data":
        """Splits the topics, about 80/10/10 by characters; no paragraph is in two parts."""
        import platform

        from recipes.language_data import language_data

        parts = {part: "\n\n\n".join(texts) for part, texts in _split(_topics()).items()}
        version = platform.python_version()
        count = sum(map(len, parts.values()))
        summary = f"the topics of Python {version}'s reference manual, {count:,} characters"
        return language_data(self, parts, "characters", summary, min_count=2)

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model that reads `token_ids` (batch, time) into `logits` (batch, time, vocabulary)."""
        return language_models.build(self, data)

    def objective(self) -> Objective:
        """Lowers the cross-entropy of the next character; the epoch that has it lowest on validation is kept."""
        return language_models.objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "TextRows") -> Verdict:
        """Says how many nats a character of the test part takes."""
        return language_models.verdict(outputs, split)


def _topics() -> list[str]:
    """Each topic's text, without the paragraphs that another topic has had before."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    texts = []
    for name in sorted(topics):
        paragraphs = [paragraph for paragraph in topics[name].split("\n\n") if paragraph.strip() not in seen]
        seen.update(paragraph.strip() for paragraph in paragraphs)
        texts.append("\n\n".join(paragraphs).strip("\n"))
    return [text for text in texts if text]


def _split(texts: list[str]) -> dict[str, list[str]]:
    import numpy as np

    parts: dict[str, list[str]] = {"train": [], **{part: [] for part in HELD_OUT}}
    room = {part: share * sum(map(len, texts)) for part, share in HELD_OUT.items()}
    for place in np.random.default_rng(SPLIT_SEED).permutation(len(texts)):
        text = texts[place]
        # The first part that still has room for the whole topic.
        part = next((part for part, left in room.items() if len(text) <= left), "train")
        parts[part].append(text)
        if part in room:
            room[part] -= len(text)
    return parts
