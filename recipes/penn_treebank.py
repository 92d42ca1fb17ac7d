"""Penn Treebank, word by word."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from recipes import language_models
from recipes.fields import AnyCell, Count, Dropout, LearningRate, Search
from recipes.language_models import LanguageModelConfig
from recipes.recipe import Objective, Verdict, register_recipe

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data
    from recipes.language_data import TextRows


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class PennTreebank(LanguageModelConfig):
    """Penn Treebank: learns to go on with newspaper text, word by word, its states carried from window to window.

    The data are Mikolov's version: 10,000 words, the rare ones as <unk>, numbers as N, in the official parts. The end
    of a sentence is a word, as it is in all published figures.
    """

    REFERENCE: ClassVar = (
        "test perplexity 115.9 small (13 epochs), 82.1 medium (tensorflow/models ptb); 58.8 AWD-LSTM (awd-lstm-lm)"
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "full": {
            "units": (650, 650),
            "embedding": 650,
            "dropout": 0.5,
            "epochs": 40,
            "window": 35,
            "batch_size": 20,
            "learning_rate": 2e-3,
        }
    }
    """`full` is the medium size of Zaremba et al. 2014 with the embedding tied; it wants a GPU."""
    PROMPTS: ClassVar = ("the company said", "in new york")

    epochs: Count = 3
    """Passes over the training data."""
    learning_rate: LearningRate = 5e-3
    """Step size of Adam at the start."""
    cell: AnyCell = "lstm"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((200,), (300,), (300, 300)))] = (300,)
    """Width of each recurrent layer, from the input up."""
    embedding: Count = 200
    """Size of the vector that stands for a token."""
    tied: bool = True
    """Let the embedding be the output layer too (Press & Wolf 2017)."""
    dropout: Dropout = 0.2
    """Share of what each layer reads that is dropped in training."""
    window: Count = 20
    """Steps that gradients flow back; the states are carried on from window to window."""
    data_dir: str | None = None
    """Folder with the raw files (ptb.train.txt, ...); unless given TFDS loads them."""

    def load_data(self) -> "Data":
        """Reads the official parts, each as one text, sentence after sentence."""
        from recipes.datasets import load
        from recipes.language_data import language_data, words

        sets = load("penn_treebank", self.data_dir)
        parts = {part: words("\n".join(row["text"] for row in rows)) for part, rows in sets.items()}
        count = sum(map(len, parts.values()))
        summary = f"Penn Treebank, {count:,} words of newspaper text, the ends of sentences among them"
        return language_data(self, parts, "words", summary)

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model that reads `token_ids` (batch, time) into `logits` (batch, time, vocabulary)."""
        return language_models.build(self, data)

    def objective(self) -> Objective:
        """Lowers the cross-entropy of the next word; the epoch that has it lowest on the validation part is kept."""
        return language_models.objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "TextRows") -> Verdict:
        """Gives the perplexity of the test part."""
        return language_models.verdict(outputs, split)
