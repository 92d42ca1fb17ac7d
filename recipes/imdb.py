"""Film reviews, for or against."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from recipes import text_classification
from recipes.fields import Count, LearningRate
from recipes.recipe import Objective, Verdict, register_recipe
from recipes.text_classification import TextClassifier

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data, Split

VALIDATION = 0.1
"""Share of the training part that chooses the epoch: the set has no part for it."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class Imdb(TextClassifier):
    """Film reviews: reads a review of any length and says whether its author liked the film.

    The data are TFDS's imdb_reviews: 25,000 reviews to train and 25,000 to test (Maas et al. 2011,
    aclanthology.org/P11-1015). A tenth of the training part is held out to choose the epoch.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "full": {"units": (128, 128), "embedding": 128, "longest": 1000, "vocabulary": 40_000, "epochs": 6}
    }
    REFERENCE: ClassVar = (
        "biLSTM-64 85.7 %, LSTM-64 86.0 % (Raschka & Mirjalili, ch. 15 and 16); two biLSTM-64 on 200 words: 84.3 % "
        "after 2 epochs, 87.8 % after 10 (keras.io)"
    )

    epochs: Count = 3
    """Passes over the training data."""
    batch_size: Count = 128
    """Examples in a step of training; on a CPU a review costs 1.6 times as much in steps of 64."""
    learning_rate: LearningRate = 0.004
    """Step size of Adam at the start."""
    data_dir: str | None = None
    """TFDS folder that holds imdb_reviews prepared; unless given TFDS's own, into which it is downloaded."""

    def load_data(self) -> "Data":
        """Reads the reviews; a tenth of the training part, equal reviews together, becomes the validation part."""
        from recipes import datasets, text

        splits = datasets.load("imdb_reviews", self.data_dir)
        texts, labels = ([example[name] for example in splits["train"]] for name in ("text", "label"))
        rows = text.split_rows(texts, labels, {"validation": VALIDATION})
        parts = {part: ([texts[row] for row in own], [labels[row] for row in own]) for part, own in rows.items()}
        parts["test"] = tuple([example[name] for example in splits["test"]] for name in ("text", "label"))
        summary = "the 50,000 film reviews of imdb_reviews, half of them to test"
        return text_classification.classification_data(self, parts, ("neg", "pos"), summary)

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a classifier that reads `token_ids` (batch, time) into `logits` (batch, 2)."""
        return text_classification.build(self, data)

    def objective(self) -> Objective:
        """Lowers the cross-entropy; the epoch that has it lowest on the validation part is kept."""
        return text_classification.classification_objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the reviews that were understood."""
        return text_classification.verdict(outputs, split)
