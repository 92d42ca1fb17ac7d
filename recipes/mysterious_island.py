"""Jules Verne's The Mysterious Island, character by character."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from recipes import language_models
from recipes.fields import AnyCell, Count, LearningRate, Search
from recipes.language_models import LanguageModelConfig
from recipes.recipe import Objective, Verdict, register_recipe

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data
    from recipes.language_data import TextRows


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class MysteriousIsland(LanguageModelConfig):
    """The Mysterious Island: learns to write as in Jules Verne's novel, character by character.

    The data are the 1.1 million characters of Project Gutenberg's English text, as in chapter 15 of Raschka &
    Mirjalili; the last tenth is held out, half to choose the epoch and half to test.
    """

    REFERENCE: ClassVar = (
        "LSTM-512, 1.105 (PyTorch) and 1.034 (Keras, 20 epochs) nats per character on the training text; "
        "none held out (Raschka & Mirjalili, ch. 15)"
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"full": {"epochs": 20, "embedding": 256}}
    """`full` is the reference's budget: 20 epochs of an LSTM of 512 units on vectors of 256; it wants a GPU."""
    PROMPTS: ClassVar = ("The island ", "Captain Harding ")

    epochs: Count = 6
    """Passes over the training data."""
    batch_size: Count = 64
    """Places of the text that are read side by side."""
    learning_rate: LearningRate = 5e-3
    """Step size of Adam at the start."""
    cell: AnyCell = "lstm"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((256,), (512,), (512, 512)))] = (512,)
    """Width of each recurrent layer, from the input up."""
    data_dir: str | None = None
    """Folder with the raw file (1268-0.txt); unless given TFDS loads it."""

    def load_data(self) -> "Data":
        """Reads the novel: its first 90 % to train, 5 % to validate, the last 5 % to test."""
        from recipes.datasets import load
        from recipes.language_data import language_data

        parts = {part: rows[0]["text"] for part, rows in load("mysterious_island", self.data_dir).items()}
        count = sum(map(len, parts.values()))
        summary = f"Jules Verne's The Mysterious Island in English, {count:,} characters, the last tenth held out"
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
