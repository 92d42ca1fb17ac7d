"""The user's own texts and their classes."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from recipes import text_classification
from recipes.errors import UsageError
from recipes.fields import Count, LearningRate
from recipes.recipe import Objective, Verdict, register_recipe
from recipes.text_classification import TextClassifier

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data, Split

MOST_CLASSES = 1000


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class Classify(TextClassifier):
    """Your own texts: learns to name their class from a CSV file, `--csv reviews.csv --text text --label stars`.

    A tenth of the rows is held out to choose the epoch and a tenth to test, equal texts together and each class by the
    same shares; the split is the same for every seed.
    """

    OWN_FILE: ClassVar = "csv"

    epochs: Count = 10
    """Passes over the training data."""
    batch_size: Count = 32
    """Examples in a step of training."""
    learning_rate: LearningRate = 0.002
    """Step size of Adam at the start."""
    csv: str | None = None
    """The file: a header, then a text and its class in each row; perhaps compressed (.gz)."""
    text: str = "text"
    """The column that holds the texts."""
    label: str = "label"
    """The column that holds the classes, numbers or names."""

    def load_data(self) -> "Data":
        """Reads the file and splits it 80/10/10."""
        from recipes import tables, text

        if self.csv is None:
            raise UsageError("classify needs a file: --csv FILE --text COLUMN --label COLUMN")
        if self.text == self.label:
            raise UsageError(
                f"classify: --text and --label both name the column {self.text!r}; a text and its class are two"
            )
        columns = tables.read_csv(self.csv, texts=dict.fromkeys((self.text, self.label)))
        texts, classes = columns[self.text], columns[self.label]
        labels = self._labels(classes)
        parts = {
            part: ([texts[row] for row in rows], [classes[row] for row in rows])
            for part, rows in text.split_rows(texts, classes).items()
        }
        if empty := [part for part, (rows, _) in parts.items() if not rows]:
            raise UsageError(
                f"{self.csv}: its {len(texts)} rows are too few to leave one for the {empty[0]} part: a class needs "
                "three different texts"
            )
        summary = f"the {len(texts):,} texts of {self.csv}, in {len(labels)} classes of {self.label!r}"
        return text_classification.classification_data(self, parts, labels, summary)

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a classifier that reads `token_ids` (batch, time) into `logits` (batch, classes)."""
        return text_classification.build(self, data)

    def objective(self) -> Objective:
        """Lowers the cross-entropy; the epoch that has it lowest on the validation part is kept."""
        return text_classification.classification_objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the texts whose class was named, and says how it went class by class."""
        return text_classification.verdict(outputs, split)

    def _labels(self, classes: "Sequence[Any]") -> list[str]:
        found = set(classes)
        if len(found) < 2:
            raise UsageError(f"{self.csv}: column {self.label!r} says {classes[0]!r} in every row; give two classes")
        if len(found) > min(MOST_CLASSES, len(classes) // 2):
            raise UsageError(
                f"{self.csv}: column {self.label!r} has {len(found):,} different values in {len(classes):,} rows: "
                "these are no classes; name another column by --label"
            )
        try:
            numbers = {label: float(label) for label in found}
        except ValueError:
            return sorted(found)
        if not all(map(math.isfinite, numbers.values())):
            return sorted(found)
        # Stars in the order of their number, 2 before 10; by their text where that is the same, as of 1 and 1.0.
        return sorted(found, key=lambda label: (numbers[label], label))
