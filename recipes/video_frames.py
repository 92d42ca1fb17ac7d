"""A moving digit, and in each frame what happens to it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

from recipes.fields import Cell, Count, Dropout, LearningRate, Positive, Search
from recipes.recipe import Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras

    from recipes.data import Column, Data, Split
    from recipes.report import Section

LABELS = ("moves", "bounces off a side", "bounces off top or bottom")
DATA_SEED = 0
"""The videos are the task's, not the run's: seeds are compared on the same ones."""
VALIDATION = 1000
"""Training images of MNIST whose videos validate."""
GALLERY = 2
"""Test videos that are shown."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoFrames(RecipeConfig):
    """Moving digits: watches a digit fly about and says of each frame whether it moves on or bounces off a wall.

    Made from MNIST (LeCun et al. 1998, doi:10.1109/5.726791) as in Srivastava et al. 2015 (arXiv:1502.04681). Where the
    digit is does not tell what happens: near a wall it may be coming or going, which only the frames before know.
    Validation and test videos are made of digits that no training video shows.
    """

    epochs: Count = 15
    """Passes over the training data."""
    batch_size: Count = 32
    """Examples in a step of training."""
    learning_rate: LearningRate = 2e-3
    """Step size of Adam at the start."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    model: str = "frame_labeler"
    """What watches: any model of the zoo of this one's shape."""
    filters: tuple[Count, ...] = (8, 16)
    """Filters of each convolution, from the frame up."""
    cell: Cell = "gru"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((32,), (64,), (128,)))] = (64,)
    """Width of each recurrent layer, from the convolutions up."""
    dropout: Dropout = 0.0
    """Share of what each recurrent layer reads that is dropped in training."""
    frames: Count = 20
    """Frames of a video."""
    size: Count = 32
    """Rows and columns of a frame; at least 16."""
    videos: Count = 3000
    """Training videos."""
    test_videos: Count = 1000
    """Videos to test; as many validate."""
    data_dir: str | None = None
    """TFDS's folder that holds MNIST prepared; unless given TFDS's own."""

    def load_data(self) -> "Data":
        """Sends digits flying: those of the training part, of its last images to validate, of the test part."""
        import numpy as np

        from recipes import datasets, moving_digits
        from recipes.data import Data, Split
        from recipes.errors import UsageError

        if self.size < 2 * moving_digits.DIGIT - 12:
            raise UsageError(f"video_frames: size must be at least {2 * moving_digits.DIGIT - 12}, got {self.size}")
        splits = datasets.load("mnist", self.data_dir)
        images = {name: np.stack([example["image"] for example in splits[name]]) for name in ("train", "test")}
        sources = {
            "train": (images["train"][:-VALIDATION], self.videos),
            "validation": (images["train"][-VALIDATION:], self.test_videos),
            "test": (images["test"], self.test_videos),
        }
        parts = {}
        for seed, (part, (pool, count)) in enumerate(sources.items(), start=DATA_SEED):
            videos, labels = moving_digits.make(pool, count, frames=self.frames, size=self.size, seed=seed)
            parts[part] = Split({"frames": videos}, labels)
        return Data(
            **parts,
            summary=f"MNIST's digits on the move: {self.frames} frames of {self.size} by {self.size} pixels",
            labels=LABELS,
            preprocessing={"frames": "grey levels, 0 (dark) to 1"},
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model from `frames` (batch, time, size, size, 1) to `logits` (batch, time, 3)."""
        from recipes import models

        sizes = {"height": self.size, "width": self.size, "channels": 1, "classes": len(LABELS)}
        return models.build(self, self.model, "frame_labeler", sizes)

    def objective(self) -> Objective:
        """Lowers the cross-entropy of all frames; the epoch that has it lowest on the validation part is kept."""
        import keras

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return Objective(loss, (keras.metrics.SparseCategoricalAccuracy("accuracy"),), "val_loss", "min")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Measures the F1 of each event, averaged, and the share of frames that are labelled right."""
        import numpy as np

        predicted, truth = np.asarray(outputs["logits"]).argmax(axis=-1), np.asarray(split.targets)
        scores = []
        for event in range(len(LABELS)):
            right = ((predicted == event) & (truth == event)).sum()
            scores.append(2 * right / max(1, (predicted == event).sum() + (truth == event).sum()))

        def confusion() -> "Section":
            from recipes import report

            matrix = np.zeros((len(LABELS), len(LABELS)), dtype=int)
            np.add.at(matrix, (truth.ravel(), predicted.ravel()), 1)
            caption = f"The frames of {len(split)} test videos."
            return report.Section("Confusion matrix", report.confusion_matrix(matrix, LABELS), caption)

        always = float((truth == 0).mean())
        metrics = {
            "macro_f1": float(np.mean(scores)),
            "accuracy": float((predicted == truth).mean()),
            "always_moves_accuracy": always,
        }
        return Verdict(metrics, (confusion,))

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows test videos frame by frame, with what the model says of each."""

        def videos() -> "Section":
            from markupsafe import Markup

            from recipes import report

            pieces = []
            for row in range(min(GALLERY, len(data.test))):
                frames = data.test.inputs["frames"][row]
                said = model.predict_on_batch(frames[None])[0].argmax(axis=-1)
                truth = [LABELS[label] for label in data.test.targets[row]]
                pieces.append(report.gallery(frames[..., 0], truth, [LABELS[label] for label in said], len(frames)))
            caption = "All frames of a video, those with a mistake first."
            return report.Section("Videos, frame by frame", Markup("").join(pieces), caption)

        return (videos,)
