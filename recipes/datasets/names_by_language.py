import collections
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/spro/practical-pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names/"
LANGUAGES = (
    "Arabic",
    "Chinese",
    "Czech",
    "Dutch",
    "English",
    "French",
    "German",
    "Greek",
    "Irish",
    "Italian",
    "Japanese",
    "Korean",
    "Polish",
    "Portuguese",
    "Russian",
    "Scottish",
    "Spanish",
    "Vietnamese",
)
# The split is the set's, not the run's: seeds are compared on the same names.
SPLIT_SEED = 0
HELD_OUT = 0.1
"""Share of each language's names in `validation`, and in `test`."""


class NamesByLanguage(Source):
    """Surnames of 18 languages. The split is ours: 80/10/10 in each language, a name that recurs all in one part."""

    ABOUT = "Surnames from 18 languages; 80/10/10 within each language, equal names in one part"
    LICENCE = "MIT"
    HOMEPAGE = "https://github.com/spro/practical-pytorch"
    CITATION = """@misc{robertson2017practical,
  title={Practical PyTorch: Classifying Names with a Character-Level RNN}, author={Robertson, Sean}, year={2017}
}"""
    FILES: ClassVar = {f"names/{language}.txt": f"{URL}{language}.txt" for language in LANGUAGES}
    COUNTS: ClassVar = {"": (16_043, 2_004, 2_003)}
    UNIT = "names"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`name`, and `language`: one of 18."""
        return {"name": tfds.features.Text(), "language": tfds.features.ClassLabel(names=LANGUAGES)}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Splits each language's names at random, with a fixed seed; within a part they keep their order."""
        splits: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
        for language in LANGUAGES:
            names = _names(raw, f"names/{language}.txt")
            parts = _parts(names)
            for name in names:
                splits[parts[name]].append({"name": name, "language": language})
        return dict(splits)


def _names(raw: Raw, file: str) -> list[str]:
    names = []
    for number, line in raw.lines(file):
        # A few lines end with a space, one with a no-break space.
        name = line.strip()
        if not name:
            raise raw.error(file, number, "a name", "an empty line")
        names.append(name)
    return names


def _parts(names: list[str]) -> dict[str, str]:
    counts = collections.Counter(names)
    distinct = sorted(counts)
    shuffled = [distinct[place] for place in np.random.default_rng(SPLIT_SEED).permutation(len(distinct))]
    quota = round(HELD_OUT * len(names))
    parts, room = {}, {"test": quota, "validation": quota, "train": len(names)}
    for name in shuffled:
        part = next(part for part, left in room.items() if left >= counts[name])
        room[part] -= counts[name]
        parts[name] = part
    return parts
