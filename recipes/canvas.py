"""Digits on a canvas, with captions that say where they are."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recipes.data import Batch
from recipes.teacher_forcing import TargetSplit, Tokens, teacher_forced
from recipes.vocabulary import Vocabulary

SIZE, DIGIT = 64, 28
"""Rows and columns of a canvas and of a digit."""
HELD_OUT, JUDGED = 5_000, 2_000
"""Of MNIST's training digits, those of the validation part; pictures of each part that is judged by."""
ALONE = 0.2
"""Share of the pictures with one digit."""
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NEAR, FAR, APART = 6, 28, 36
"""How far two digits may be off a line, and how far apart they are: pixels."""
RELATIONS: Mapping[tuple[str, ...], tuple[tuple[int, int], tuple[int, int]]] = {
    ("left", "of"): ((-NEAR, NEAR), (FAR, APART)),
    ("above",): ((FAR, APART), (-NEAR, NEAR)),
    ("above", "and", "left", "of"): ((FAR - 4, APART), (FAR - 4, APART)),
    ("above", "and", "right", "of"): ((FAR - 4, APART), (4 - FAR, -APART)),
}
"""Words -> how many rows and columns the second digit is below and to the right of the first: bounds of each.

The upper one comes first, of two in a line the left one: so every picture has one caption.
"""


class Scene(NamedTuple):
    """A picture to be.

    Attributes:
        places: For each digit its index, row and column; the index is -1 for one that is not there.
        caption: In words.
    """

    places: tuple[tuple[int, int, int], tuple[int, int, int]]
    caption: Tokens


def compose(digits: Sequence[Mapping[str, Any]], count: int, *, seed: int) -> list[Scene]:
    """Draws pictures.

    Args:
        digits: Examples of MNIST, with a `label`.
        count: How many pictures.
        seed: Of the drawing.

    Returns:
        Where which digits stand, and what to say of it.
    """
    random = np.random.default_rng(seed)
    relations = list(RELATIONS)
    scenes = []
    for first, second in random.integers(0, len(digits), (count, 2)).tolist():
        if random.random() < ALONE:
            row, column = random.integers(0, SIZE - DIGIT + 1, 2).tolist()
            scenes.append(Scene(((first, row, column), (-1, 0, 0)), _named(digits[first])))
            continue
        words = relations[random.integers(len(relations))]
        (row, down), (column, right) = (_ends(random, sorted(bounds)) for bounds in RELATIONS[words])
        caption = (*_named(digits[first]), *words, *_named(digits[second]))
        scenes.append(Scene(((first, row, column), (second, down, right)), caption))
    return scenes


def _ends(random: np.random.Generator, bounds: Sequence[int]) -> tuple[int, int]:
    """Where two digits begin along an axis, whose distance is within bounds."""
    apart = int(random.integers(bounds[0], bounds[1] + 1))
    first = int(random.integers(max(0, -apart), min(SIZE - DIGIT, SIZE - DIGIT - apart) + 1))
    return first, first + apart


def _named(digit: Mapping[str, Any]) -> tuple[str, str]:
    name = NAMES[int(digit["label"])]
    return ("an" if name == "eight" else "a"), name


@dataclasses.dataclass(frozen=True)
class Pictures(TargetSplit):
    """A part of such data; a batch's pictures are drawn when it is made.

    Attributes:
        places: (pictures, 2, 3), see `Scene`.
        digits: (digits, 28, 28), uint8; behind the last one an empty one, for index -1.
    """

    places: np.ndarray
    digits: np.ndarray

    @classmethod
    def of(cls, scenes: Sequence[Scene], digits: Sequence[Mapping[str, Any]], vocabulary: Vocabulary) -> "Pictures":
        """Makes the arrays.

        Args:
            scenes: As `compose` gives them.
            digits: Examples of MNIST, with an `image`.
            vocabulary: Of the captions.

        Returns:
            `token_ids` and targets; `image` comes with each batch.
        """
        captions = tuple(scene.caption for scene in scenes)
        read, targets = teacher_forced(captions, vocabulary)
        images = [np.asarray(digit["image"], "uint8").reshape(DIGIT, DIGIT) for digit in digits]
        drawn = np.stack([*images, np.zeros((DIGIT, DIGIT), "uint8")])
        return cls({"token_ids": read}, targets, captions, vocabulary, np.array([s.places for s in scenes]), drawn)

    def batch(self, rows: np.ndarray) -> Batch:
        """Puts examples side by side.

        Args:
            rows: Their indices.

        Returns:
            Inputs, `image` (batch, 64, 64, 1) from 0 to 1 among them, targets and weights.
        """
        inputs, targets, weights = super().batch(rows)
        images = np.zeros((len(rows), SIZE, SIZE), "uint8")
        for image, places in zip(images, self.places[rows], strict=True):
            for index, row, column in places:
                window = image[row : row + DIGIT, column : column + DIGIT]
                np.maximum(window, self.digits[index], out=window)
        return {**inputs, "image": images[..., None].astype("float32") / 255}, targets, weights
