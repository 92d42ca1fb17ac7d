from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/dmallon/net/a569f52a312b90234ceddf5e91b3b55947313219/data/"
PARTS = {"train": "pendigits.tra", "test": "pendigits.tes"}
POINTS = 8
HEADER = "0,1,2,3,4,5,6,7,8,9"
"""A line that the repository put in front of the original files."""


class Pendigits(Source):
    """UCI's digits written with a pen on a tablet; the test digits are by other writers."""

    ABOUT = "Digits written with a pen: 8 points along each trace; other writers in the test part"
    LICENCE = "CC BY 4.0 (UCI)"
    HOMEPAGE = "https://archive.ics.uci.edu/dataset/81"
    CITATION = """@misc{alpaydin1996pen,
  title={Pen-Based Recognition of Handwritten Digits}, author={Alpaydin, E. and Alimoglu, F.},
  year={1996}, doi={10.24432/C5MG6K}
}"""
    FILES: ClassVar = {name: f"{URL}{name}" for name in PARTS.values()}
    COUNTS: ClassVar = {"": (7_494, 3_498)}
    UNIT = "digits"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`points`: (8, 2) int64, x and y from 0 to 100, in the order of drawing; `digit`."""
        return {
            "points": tfds.features.Tensor(shape=(POINTS, 2), dtype=np.int64),
            "digit": tfds.features.Scalar(dtype=np.int64),
        }

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, in the order of the lines."""
        return {split: _digits(raw, name) for split, name in PARTS.items()}


def _digits(raw: Raw, name: str) -> Iterator[Example]:
    for number, line in raw.lines(name):
        if number == 1 and line.strip() == HEADER:
            continue
        cells = [cell.strip() for cell in line.split(",")]
        values = [int(cell) for cell in cells if cell.isdecimal() and int(cell) <= 100]
        if len(values) != len(cells) or len(values) != 2 * POINTS + 1 or values[-1] > 9:
            raise raw.error(name, number, f"{2 * POINTS} integers from 0 to 100 and a digit", repr(line[:60]))
        yield {"points": np.asarray(values[:-1], dtype=np.int64).reshape(POINTS, 2), "digit": values[-1]}
