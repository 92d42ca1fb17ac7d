"""Python's reference manual, character by character."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from recipes import language_models
from recipes.fields import Count, Dropout, LearningRate
from recipes.language_models import LanguageModelConfig
from recipes.recipe import Objective, Verdict, register_recipe

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data
    from recipes.language_data import TextRows

# The split is the task's, not the run's: seeds are compared on the same text.
SPLIT_SEED = 0
BLOCK = 4_000
"""Characters that stay together, rounded up to whole paragraphs: topics are too few and too different to be split."""
HELD_OUT = 0.1
"""Share of the blocks in the validation part, and again in the test part."""


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
    learning_rate: LearningRate = 6e-3
    """Step size of Adam at the start."""
    dropout: Dropout = 0.2
    """Share of what each layer reads that is dropped in training."""

    def load_data(self) -> "Data":
        """Splits the topics' text 80/10/10 in blocks of paragraphs; no paragraph is in two parts."""
        import platform

        from recipes.language_data import language_data

        parts = _split(_blocks())
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


def _blocks() -> list[str]:
    """The topics in alphabetical order, cut into blocks; a paragraph that was there before is left out."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    blocks, block = [], ""
    for paragraph in "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n"):
        if paragraph.strip() in seen or not paragraph.strip():
            continue
        seen.add(paragraph.strip())
        block += paragraph.strip("\n") + "\n\n"
        if len(block) >= BLOCK:
            blocks.append(block)
            block = ""
    return [*blocks, block] if block else blocks


def _split(blocks: list[str]) -> dict[str, str]:
    import numpy as np

    order = np.random.default_rng(SPLIT_SEED).permutation(len(blocks))
    held_out = round(HELD_OUT * len(blocks))
    rows = {"test": order[:held_out], "validation": order[held_out : 2 * held_out], "train": order[2 * held_out :]}
    return {part: "".join(blocks[row] for row in sorted(own)) for part, own in rows.items()}
