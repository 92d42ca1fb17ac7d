"""Handwritten digits, read row by row."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from recipes.fields import Cell, Count, Dropout, Positive, Search, Share
from recipes.recipe import Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data, Split
    from recipes.report import Section

LABELS = tuple("0123456789")
# The split is the task's, not the run's: seeds are compared on the same test images.
SPLIT_SEED = 0


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(RecipeConfig):
    """Handwritten digits: reads an image of 8 by 8 pixels as 8 rows and says which digit it is.

    The data are the 1,797 images that come with scikit-learn (Alpaydin & Kaynak 1998, doi:10.24432/C50P49), so that
    nothing is downloaded.
    """

    epochs: Count = 30
    """Passes over the training data."""
    learning_rate: Annotated[Positive, Search(1e-3, 3e-2, log=True)] = 0.01
    """Step size of Adam at the start."""
    model: str = "sequence_classifier"
    """The zoo's model: any that reads features into one label."""
    cell: Cell = "gru"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((32,), (64,), (128,), (64, 64)))] = (128,)
    """Width of each recurrent layer, from the input up."""
    bidirectional: Annotated[bool, Search()] = False
    """Read the rows from the bottom up, too."""
    dropout: Dropout = 0.0
    """Share of what each layer reads that is dropped in training."""
    shift: Share = 0.5
    """Share of the training images that are moved by up to one pixel in each direction."""

    def load_data(self) -> "Data":
        """Splits the images 64/16/20, each part with the digits in equal shares."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        from recipes.data import Data, Split

        digits = load_digits()
        # (images, rows, columns) is (batch, time, features); 16 grey levels -> 0 to 1.
        images, targets = (digits.images / 16).astype("float32"), digits.target.astype("int32")

        def split(share: float, images: Any, targets: Any) -> list[Any]:
            return train_test_split(images, targets, test_size=share, random_state=SPLIT_SEED, stratify=targets)

        rest, test_images, rest_targets, test_targets = split(0.2, images, targets)
        train_images, val_images, train_targets, val_targets = split(0.2, rest, rest_targets)
        return Data(
            train=Split({"features": train_images}, train_targets),
            validation=Split({"features": val_images}, val_targets),
            test=Split({"features": test_images}, test_targets),
            summary="scikit-learn's 1,797 handwritten digits of 8 by 8 pixels, each read as 8 rows",
            labels=LABELS,
            preprocessing={
                "features": "the 8 rows of 8 grey levels, top to bottom, 0 (paper) to 16 (ink), divided by 16"
            },
            augment=self._shift if self.shift else None,
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a classifier that reads `features` (batch, 8, 8) into `logits` (batch, 10)."""
        from recipes.models import build

        task = {"features": data.train.inputs["features"].shape[-1], "classes": len(data.labels)}
        return build(self, self.model, "sequence_classifier", task)

    def objective(self) -> Objective:
        """Lowers the cross-entropy; the epoch that has it lowest on the validation part is kept."""
        import keras

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return Objective(loss, (keras.metrics.SparseCategoricalAccuracy("accuracy"),), "val_loss", "min")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the images whose highest logit is their digit's."""
        predicted = outputs["logits"].argmax(axis=-1)

        def confusion() -> "Section":
            import numpy as np

            from recipes import report

            matrix = np.zeros((len(LABELS), len(LABELS)), dtype=int)
            np.add.at(matrix, (split.targets, predicted), 1)
            caption = f"The {len(split)} test images: which digit they show, and which one the model saw."
            return report.Section("Confusion matrix", report.confusion_matrix(matrix, LABELS), caption)

        def gallery() -> "Section":
            from recipes import report

            truth, seen = [LABELS[digit] for digit in split.targets], [LABELS[digit] for digit in predicted]
            pictures = report.gallery(split.inputs["features"], truth, seen)
            return report.Section("Twelve test images", pictures, "Mistakes come first.")

        accuracy = float((predicted == split.targets).mean())
        return Verdict({"accuracy": accuracy}, (confusion, gallery))

    def _shift(self, inputs: dict[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        # (batch, 8, 8) -> (batch, 10, 10) -> a window of (batch, 8, 8), off the centre by -1, 0 or 1
        images = inputs["features"]
        count, size = tf.shape(images)[0], images.shape[1]
        moved = tf.random.stateless_uniform((count, 1), seed) < self.shift
        offset = tf.random.stateless_uniform((count, 2), seed + 1, 0, 3, tf.int32)
        start = tf.where(moved, offset, 1)[:, :, None] + tf.range(size)
        padded = tf.pad(images, [[0, 0], [1, 1], [1, 1]])
        rows = tf.gather(padded, start[:, 0], axis=1, batch_dims=1)
        return {"features": tf.gather(rows, start[:, 1], axis=2, batch_dims=1)}
