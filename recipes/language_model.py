"""A text of the user's own, in characters or words."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from recipes import language_models
from recipes.errors import UsageError
from recipes.fields import Count, Dropout, LearningRate
from recipes.language_models import LanguageModelConfig
from recipes.recipe import Objective, Verdict, register_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

    from recipes.data import Column, Data
    from recipes.language_data import TextRows

TRAIN, VALIDATION = 0.8, 0.1
"""Shares of the text, from its beginning; the rest is the test part."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageModel(LanguageModelConfig):
    """A text of your own: learns to go on with it, in characters or words.

    The first 80 % of the lines are learned from, the next 10 % choose the epoch, the last 10 % test. What the training
    part has once only counts as unknown.
    """

    OWN_FILE: ClassVar = "text"

    text: str | None = None
    """The text, a file in UTF-8 (.gz too)."""
    tokens: Literal["characters", "words"] = "characters"
    """What the text is cut into; words are what stands between white space."""
    vocabulary_size: Count = 10_000
    """How many different tokens the model knows at most; the rarer ones are all one."""
    learning_rate: LearningRate = 6e-3
    """Step size of Adam at the start."""
    dropout: Dropout = 0.2
    """Share of what each layer reads that is dropped in training."""

    def load_data(self) -> "Data":
        """Reads the file and cuts it at ends of lines."""
        from pathlib import Path

        from recipes.language_data import language_data, words
        from recipes.tables import read_text

        if self.text is None:
            raise UsageError("language_model needs a text to learn from: --text file.txt")
        cut = words if self.tokens == "words" else str
        parts: dict[str, Sequence[str]] = {part: cut(text) for part, text in _cut(read_text(self.text)).items()}
        summary = f"{Path(self.text).name}, {sum(map(len, parts.values())):,} {self.tokens}, the last tenth to test"
        return language_data(self, parts, self.tokens, summary, min_count=2, limit=self.vocabulary_size)

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model that reads `token_ids` (batch, time) into `logits` (batch, time, vocabulary)."""
        return language_models.build(self, data)

    def objective(self) -> Objective:
        """Lowers the cross-entropy of the next token; the epoch that has it lowest on the validation part is kept."""
        return language_models.objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "TextRows") -> Verdict:
        """Gives the nats of a character, or the perplexity of a word."""
        return language_models.verdict(outputs, split)


def _cut(text: str) -> dict[str, str]:
    """Cuts at the end of the line in which a share of the characters is reached; in a very long line, right there."""
    places = []
    for share in (TRAIN, TRAIN + VALIDATION):
        at = int(share * len(text))
        end = text.find("\n", at, at + len(text) // 50)
        places.append(end + 1 if end >= 0 else at)
    first, second = places
    return {"train": text[:first], "validation": text[first:second], "test": text[second:]}
