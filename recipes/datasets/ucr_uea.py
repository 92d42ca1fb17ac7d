import math
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

SKTIME = (
    "https://raw.githubusercontent.com/sktime/sktime/7bd7d1620c0656f3210eeb850bb1c0034159ee47/sktime/datasets/data/"
)
MTS_DA = "https://raw.githubusercontent.com/npschafer/MTS-DA/2df2eea2c62d672e660dd37da04c5ac0dce3c383/data/"
SETS = {
    "japanese_vowels": "JapaneseVowels",
    "gun_point": "GunPoint",
    "italy_power_demand": "ItalyPowerDemand",
    "arrow_head": "ArrowHead",
    "osu_leaf": "OSULeaf",
    "acsf1": "ACSF1",
    "plaid": "PLAID",
    "basic_motions": "BasicMotions",
    "epilepsy": "Epilepsy",
}
DIMENSIONS = {"japanese_vowels": 12, "basic_motions": 6, "epilepsy": 3}
"""All others have one."""


class UcrUea(Source):
    """Small sets of the UCR and UEA archives of time series to classify."""

    ABOUT = "Time series to classify: spoken vowels by speaker, motions, outlines, appliances"
    LICENCE = "not stated; free for research with citation (the repositories: BSD 3-clause, MIT)"
    HOMEPAGE = "https://www.timeseriesclassification.com"
    CITATION = """@article{dau2019ucr,
  title={The UCR time series archive}, author={Dau, Hoang Anh and others},
  journal={IEEE/CAA Journal of Automatica Sinica}, year={2019}, eprint={1810.07758}
}
@article{bagnall2018uea,
  title={The UEA multivariate time series classification archive, 2018}, author={Bagnall, Anthony and others},
  year={2018}, eprint={1811.00075}
}"""
    CONFIGS: ClassVar = SETS
    FILES: ClassVar = {
        f"{name}/{name}_{part}.ts": f"{MTS_DA if name == 'Epilepsy' else SKTIME}{name}/{name}_{part}.ts"
        for name in SETS.values()
        for part in ("TRAIN", "TEST")
    }
    COUNTS: ClassVar = {
        "japanese_vowels": (270, 370),
        "gun_point": (50, 150),
        "italy_power_demand": (67, 1_029),
        "arrow_head": (36, 175),
        "osu_leaf": (200, 242),
        "acsf1": (100, 100),
        "plaid": (537, 537),
        "basic_motions": (40, 40),
        "epilepsy": (137, 138),
    }
    UNIT = "cases"

    @classmethod
    def needs(cls, config: str) -> list[str]:
        """Two files a set."""
        return [name for name in cls.FILES if name.startswith(f"{SETS[config]}/")]

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`series`: (time, dimensions) float32; `label`: the class's name."""
        shape = (None, DIMENSIONS.get(config, 1))
        return {"series": tfds.features.Tensor(shape=shape, dtype=np.float32), "label": tfds.features.Text()}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, in the order of the lines."""
        train, test = cls.needs(config)
        dimensions = DIMENSIONS.get(config, 1)
        return {"train": _cases(raw, train, dimensions), "test": _cases(raw, test, dimensions)}


def _cases(raw: Raw, name: str, dimensions: int) -> Iterator[Example]:
    classes: list[str] = []
    data = False
    for number, line in raw.lines(name):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("@"):
            data = words[0].lower() == "@data"
            if words[0].lower() == "@classlabel":
                classes = words[2:]
        elif not data:
            raise raw.error(name, number, "a line of the header, which begins with '@'", repr(line[:40]))
        else:
            yield _case(raw, name, number, line, dimensions, classes)
    if not data:
        raise raw.error(name, None, "'@data' and the cases below it", "none: the file is cut off")


def _case(raw: Raw, name: str, number: int, line: str, dimensions: int, classes: list[str]) -> Example:
    *parts, label = line.split(":")
    if label.strip() not in classes:
        raise raw.error(name, number, f"a class of {', '.join(classes)} at the end", repr(label[-40:]))
    if len(parts) != dimensions:
        raise raw.error(name, number, f"{dimensions} dimension(s) with ':' between them", f"{len(parts)}")
    rows = [part.split(",") for part in parts]
    if len({len(row) for row in rows}) > 1:
        raise raw.error(name, number, "as many values in each dimension", f"{[len(row) for row in rows]}")
    series = np.asarray([[_number(raw, name, number, cell) for cell in row] for row in rows], dtype=np.float32)
    return {"series": series.T, "label": label.strip()}


def _number(raw: Raw, name: str, number: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise raw.error(name, number, "a number", repr(cell[:40]))
    return value
