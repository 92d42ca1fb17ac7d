"""Pictures of digits, put into words."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from recipes.fields import Cell, Count, Dropout, LearningRate, Positive, Search
from recipes.recipe import Deployment, Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Arrays, Column, Data, Split
    from recipes.report import Section

USUAL = "image_captioner"
SHOWN = 24
MAX_LENGTH = 10
"""The longest caption has nine words."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class DigitCaptions(RecipeConfig):
    """Captions: looks at a picture of one or two digits and says which they are and how they stand to each other.

    The pictures are MNIST's handwritten digits (LeCun et al. 1998, doi:10.1109/5.726791) on a canvas of 64 by 64, their
    captions made with them: "an eight", "a three left of a seven", "a two above and right of a five". Each part's
    pictures are of digits that no other part has. A caption counts only if every word is right.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "full": {"pictures": 100_000, "filters": (32, 64, 128, 256, 256), "units": (128,), "epochs": 20}
    }

    epochs: Count = 14
    """Passes over the training data."""
    learning_rate: LearningRate = 2e-3
    """Step size of Adam at the start."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    model: str = USUAL
    """A model of the zoo from a picture to words."""
    pictures: Count = 30_000
    """Pictures to train on; the other parts have 2,000 each."""
    filters: tuple[Count, ...] = (24, 48, 96, 128, 160)
    """Filters of each convolution, from the picture up; each halves its size."""
    cell: Cell = "gru"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((64,), (96,), (128,)))] = (96,)
    """Width of each recurrent layer, from the input up."""
    context: Annotated[Literal["input", "state", "both"], Search()] = "both"
    """How the picture comes in: beside each word, as the first state, or both."""
    embedding: Count = 96
    """Size of the vector that stands for a word, and of the one that stands for the picture."""
    dropout: Dropout = 0.1
    """Share of what each layer reads that is dropped in training."""
    data_dir: str | None = None
    """The TFDS folder that holds mnist prepared; unless given, TFDS's own."""

    def load_data(self) -> "Data":
        """Composes the pictures, those to test on of the digits of MNIST's test part."""
        from recipes import canvas, datasets
        from recipes.data import Data
        from recipes.teacher_forcing import generator_metadata
        from recipes.vocabulary import Vocabulary

        raw = datasets.load("mnist", self.data_dir)
        train, validation = raw["train"][: -canvas.HELD_OUT], raw["train"][-canvas.HELD_OUT :]
        scenes = {
            "train": canvas.compose(train, self.pictures, seed=0),
            "validation": canvas.compose(validation, canvas.JUDGED, seed=1),
            "test": canvas.compose(raw["test"], canvas.JUDGED, seed=2),
        }
        vocabulary = Vocabulary.of(scene.caption for scene in scenes["train"])
        digits = {"train": train, "validation": validation, "test": raw["test"]}
        parts = {part: canvas.Pictures.of(scenes[part], digits[part], vocabulary) for part in scenes}
        return Data(
            **parts,
            summary="MNIST's digits, one or two on a canvas of 64 by 64 pixels, with captions made for them",
            preprocessing={
                "image": f"{canvas.SIZE} rows of {canvas.SIZE} grey levels, 0 (paper) to 255 (ink), divided by 255"
            },
            metadata=generator_metadata(vocabulary, parts["train"].targets),
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a captioner from `image` (batch, 64, 64, 1) and `token_ids` to `logits`."""
        from recipes import canvas, models

        size = {"height": canvas.SIZE, "width": canvas.SIZE, "channels": 1}
        return models.build(self, self.model, USUAL, size | {"vocabulary": len(data.metadata["vocabulary"])})

    def objective(self) -> Objective:
        """Lowers the cross-entropy of the next word under teacher forcing."""
        from recipes import teacher_forcing

        return teacher_forcing.objective()

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the captions that are right to the last word, and the words that are under teacher forcing."""
        metrics, sections = {}, []
        if "generated_ids" in outputs:
            truth = [" ".join(tokens) for tokens in split.references]
            seen = [" ".join(tokens) for tokens in split.written(outputs["generated_ids"])]
            metrics["exact_match"] = sum(a == b for a, b in zip(truth, seen, strict=True)) / len(truth)

            def gallery() -> "Section":
                import numpy as np

                from recipes import report

                images = split.batch(np.arange(len(split)))[0]["image"][..., 0]
                html = report.gallery(images, truth, seen, count=SHOWN)
                return report.Section("Captions", html, "Test pictures, written greedily. Mistakes come first.")

            sections.append(gallery)
        if "right" in outputs:
            metrics["token_accuracy"] = float(outputs["right"].values.mean())
        return Verdict(metrics, tuple(sections))

    def condense(self, outputs: "Arrays", inputs: "Arrays", targets: "np.ndarray") -> "Arrays":
        """Keeps the words written, and which words of the references are the likeliest."""
        from recipes import teacher_forcing

        return teacher_forcing.condense(outputs, targets)

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Offers the model for teacher forcing, and a captioner: a picture in, the greedy caption out."""
        from recipes import teacher_forcing

        greedy = teacher_forcing.generator(model, data, "greedy", {"max_length": MAX_LENGTH})
        return teacher_forcing.deployments(self, model, data, {teacher_forcing.GENERATED: greedy}, "captioner")
