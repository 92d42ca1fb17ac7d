from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/steven2358/kafbox/694cf94df02a9728a90d7bacda1a8520b425f86f/data/"
NAME = "santafe.dat"
# The competition of 1991: 1,000 values were given, 100 were to be predicted; the rest was published later.
ENDS = {"train": 1000, "test": 1100, "continuation": None}
HIGHEST = 255
"""The laser's intensity was recorded with 8 bits."""


class SantaFeLaser(Source):
    """The Santa Fe competition's set A: a far-infrared laser in a chaotic state."""

    ABOUT = "Intensity of a chaotic laser (Santa Fe competition, set A): 1,000 values, the next 100, what followed"
    LICENCE = "not stated (the repository: BSD 2-clause)"
    HOMEPAGE = "https://github.com/steven2358/kafbox"
    CITATION = """@article{hubner1989dimensions,
  title={Dimensions and entropies of chaotic intensity pulsations in a single-mode far-infrared NH3 laser},
  author={Huebner, U. and Abraham, N. B. and Weiss, C. O.},
  journal={Physical Review A}, volume={40}, year={1989}, doi={10.1103/PhysRevA.40.6354}
}"""
    FILES: ClassVar = {NAME: f"{URL}{NAME}"}
    COUNTS: ClassVar = {"": (1_000, 100, 8_993)}
    UNIT = "values"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`value`: (times,) int64, 0 to 255."""
        return {"value": tfds.features.Tensor(shape=(None,), dtype=np.int64)}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the competition's parts, which follow each other: one example each."""
        values = []
        for number, line in raw.lines(NAME):
            if not line.strip().isdecimal() or int(line) > HIGHEST:
                raise raw.error(NAME, number, f"an integer from 0 to {HIGHEST}", repr(line[:40]))
            values.append(int(line))
        if len(values) <= ENDS["test"]:
            raise raw.error(NAME, None, f"more than {ENDS['test']:,} values", f"{len(values):,}: the file is cut off")
        starts = [0, *list(ENDS.values())[:-1]]
        return {
            split: [{"value": np.asarray(values[start:end], dtype=np.int64)}]
            for (split, end), start in zip(ENDS.items(), starts, strict=True)
        }
