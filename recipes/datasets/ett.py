from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.series import cut, read_columns
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/"
NAMES = {"etth1": "ETTh1.csv", "etth2": "ETTh2.csv"}
HEADER = ("date", "HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
# Informer's data_loader.py: 12, 4 and 4 months of 30 days; the hours behind them are not used.
ENDS = {"train": 8640, "validation": 11520, "test": 14400}


class Ett(Source):
    """Two electricity transformers, hour by hour: six loads and the oil's temperature."""

    ABOUT = "Oil temperature and six loads of an electricity transformer, hourly, July 2016 to June 2018"
    LICENCE = "CC BY-ND 4.0"
    HOMEPAGE = "https://github.com/zhouhaoyi/ETDataset"
    CITATION = """@inproceedings{zhou2021informer,
  title={Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting},
  author={Zhou, Haoyi and Zhang, Shanghang and Peng, Jieqi and Zhang, Shuai and Li, Jianxin and others},
  booktitle={AAAI}, year={2021}, eprint={2012.07436}
}"""
    CONFIGS: ClassVar = {"etth1": "the first transformer", "etth2": "the second transformer"}
    FILES: ClassVar = {name: f"{URL}{name}" for name in NAMES.values()}
    COUNTS: ClassVar = dict.fromkeys(NAMES, (8_640, 2_880, 2_880))
    UNIT = "hours"

    @classmethod
    def needs(cls, config: str) -> list[str]:
        """One file a transformer."""
        return [NAMES[config]]

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`date`: texts; each load, and `OT`, the oil's temperature in degrees Celsius: (hours,) float32."""
        columns = {name: tfds.features.Tensor(shape=(None,), dtype=np.float32) for name in HEADER[1:]}
        return {"date": tfds.features.Sequence(tfds.features.Text()), **columns}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives Informer's parts, which follow each other: one example each."""
        name = NAMES[config]
        columns = read_columns(raw, name, HEADER, time="date")
        if (rows := len(columns["date"])) < ENDS["test"]:
            raise raw.error(name, None, f"at least {ENDS['test']:,} hours", f"{rows:,}: the file is cut off")
        return dict(cut(columns, ENDS, "date"))
