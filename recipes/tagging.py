"""What recipes share that name the tag of each word: their fields. Free of NumPy, for the command's help."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from recipes.fields import Cell, Count, Dropout, LearningRate, Range, Search
from recipes.recipe import RecipeConfig

if TYPE_CHECKING:
    import numpy as np

    from recipes.data import Arrays

MODEL = "character_tagger"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tagger(RecipeConfig):
    """The fields of a recipe that names the tag of each word."""

    epochs: Count = 6
    """Passes over the training data."""
    batch_size: Count = 32
    """Examples in a step of training."""
    learning_rate: LearningRate = 0.003
    """Step size of Adam at the start."""
    model: str = MODEL
    """The model, any of the zoo from a sequence of tokens to a class for each."""
    cell: Cell = "lstm"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((64,), (128,), (256,), (128, 128)))] = (128,)
    """Width of each direction of each recurrent layer, from the input up."""
    bidirectional: Annotated[bool, Search()] = True
    """Read the sentence from its end, too."""
    embedding: Count = 96
    """Size of the vector that stands for a word."""
    character_embedding: Count = 32
    """Size of the vector that stands for a character."""
    filters: Count = 96
    """Filters of the convolution over a word's characters."""
    word_length: Annotated[int, Range(2)] = 16
    """How many characters of a word are read: of longer words the end, where English inflects."""
    dropout: Dropout = 0.4
    """Share of what each layer reads that is dropped in training."""
    word_dropout: Annotated[float, Range(0), Search(0.0, 0.5)] = 0.25
    """A word seen n times in training is hidden from the model with probability a / (a + n), a being this."""

    def condense(self, outputs: "Arrays", inputs: "Arrays", targets: "np.ndarray") -> "Arrays":
        """Keeps the tags that a model names jointly, else each with the highest logit: `tags` (batch, time)."""
        tags = outputs["tags"] if "tags" in outputs else outputs["logits"].argmax(axis=-1)
        return {"tags": tags.astype("int32")}
