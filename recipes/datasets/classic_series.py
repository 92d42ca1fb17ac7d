import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.series import cut, read_columns
from recipes.datasets.source import Example, Source

LIBRARY = "https://raw.githubusercontent.com/jbrownlee/Datasets/d20fcb6402ae34e653d4513b00f39257bb37ed7f/"
STATSMODELS = (
    "https://raw.githubusercontent.com/statsmodels/statsmodels/82c59e378bdfb5ae324006c477954879ad3e24be/"
    "statsmodels/datasets/"
)
# In time order; the last fifth is the test part.
TRAIN, VALIDATION = 0.7, 0.8


@dataclasses.dataclass(frozen=True)
class Series:
    """One of the series.

    Attributes:
        file: Its name.
        url: Where it is published.
        time: The column of dates.
        value: The column of numbers.
        about: What is measured, and its unit.
        gaps: Whether some values are missing.
    """

    file: str
    url: str
    time: str
    value: str
    about: str
    gaps: bool = False


SERIES = {
    "sunspots": Series(
        "monthly-sunspots.csv",
        f"{LIBRARY}monthly-sunspots.csv",
        "Month",
        "Sunspots",
        "sunspot number, monthly, Zuerich, 1749 to 1983",
    ),
    "sunspots_yearly": Series(
        "sunspots-yearly.csv",
        f"{STATSMODELS}sunspots/sunspots.csv",
        "YEAR",
        "SUNACTIVITY",
        "sunspot number, yearly, 1700 to 2008",
    ),
    "co2": Series(
        "co2.csv",
        f"{STATSMODELS}co2/co2.csv",
        "date",
        "co2",
        "CO2 over Mauna Loa in ppm, weekly, 1958 to 2001; 59 weeks are missing (NaN)",
        gaps=True,
    ),
    "temperatures": Series(
        "daily-min-temperatures.csv",
        f"{LIBRARY}daily-min-temperatures.csv",
        "Date",
        "Temp",
        "lowest temperature of the day in degrees Celsius, Melbourne, 1981 to 1990",
    ),
    "airline": Series(
        "airline-passengers.csv",
        f"{LIBRARY}airline-passengers.csv",
        "Month",
        "Passengers",
        "international airline passengers in thousands, monthly, 1949 to 1960",
    ),
}


class ClassicSeries(Source):
    """Small univariate series on which every forecasting method has been tried. The split, 70/10/20, is ours."""

    ABOUT = "Sunspots, CO2, temperatures, airline passengers: one series each, cut 70/10/20 in time order"
    LICENCE = "co2 and sunspots_yearly: public domain; the others (Time Series Data Library): not stated"
    HOMEPAGE = "https://github.com/jbrownlee/Datasets"
    CITATION = """@misc{hyndman2018tsdl,
  title={tsdl: Time Series Data Library}, author={Hyndman, Rob and Yang, Yangzhuoran}, year={2018}
}"""
    CONFIGS: ClassVar = {name: series.about for name, series in SERIES.items()}
    FILES: ClassVar = {
        series.file: series.url + (series.file if series.url.endswith("/") else "") for series in SERIES.values()
    }
    COUNTS: ClassVar = {
        "sunspots": (1_974, 282, 564),
        "sunspots_yearly": (216, 31, 62),
        "co2": (1_599, 228, 457),
        "temperatures": (2_555, 365, 730),
        "airline": (101, 14, 29),
    }
    UNIT = "values"

    @classmethod
    def needs(cls, config: str) -> list[str]:
        """One file a series."""
        return [SERIES[config].file]

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`time`: texts as in the file; `value`: (times,) float32, NaN where it is missing."""
        return {
            "time": tfds.features.Sequence(tfds.features.Text()),
            "value": tfds.features.Tensor(shape=(None,), dtype=np.float32),
        }

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives three parts that follow each other: one example each."""
        series = SERIES[config]
        header = (series.time, series.value)
        columns = read_columns(raw, series.file, header, time=series.time, gaps=series.gaps)
        named = {"time": columns[series.time], "value": columns[series.value]}
        count = len(named["value"])
        ends = {"train": round(TRAIN * count), "validation": round(VALIDATION * count), "test": count}
        return dict(cut(named, ends, "time"))
