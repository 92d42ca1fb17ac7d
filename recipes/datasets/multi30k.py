from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source, unequal

URL = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/"
LANGUAGES = ("de", "en")
PARTS = {
    "raw": {
        "train": "raw/train",
        "validation": "raw/val",
        "test": "raw/test_2016_flickr",
        "test_2017_flickr": "raw/test_2017_flickr",
        "test_2017_mscoco": "raw/test_2017_mscoco",
        "test_2018_flickr": "raw/test_2018_flickr",
    },
    "tok": {
        "train": "tok/train.lc.norm.tok",
        "validation": "tok/val.lc.norm.tok",
        "test": "tok/test_2016_flickr.lc.norm.tok",
    },
}
"""Form -> split -> file name without its language."""


class Multi30k(Source):
    """Captions of pictures in German and English; `test` is the 2016 Flickr part on which papers report."""

    ABOUT = "Picture captions in German and English, sentence by sentence (task 1)"
    LICENCE = "not stated for the text; the pictures' captions are for non-commercial research and education"
    HOMEPAGE = "https://github.com/multi30k/dataset"
    CITATION = """@inproceedings{elliott2016multi30k,
  title={Multi30K: Multilingual English-German Image Descriptions},
  author={Elliott, Desmond and Frank, Stella and Sima'an, Khalil and Specia, Lucia},
  booktitle={Proceedings of the 5th Workshop on Vision and Language}, year={2016}, doi={10.18653/v1/W16-3210}
}"""
    CONFIGS: ClassVar = {"raw": "as written", "tok": "lower case, punctuation normalised, tokens between single spaces"}
    FILES: ClassVar = {
        f"{stem}.{language}": f"{URL}{stem}.{language}{'.gz' if config == 'raw' else ''}"
        for config, parts in PARTS.items()
        for stem in parts.values()
        for language in LANGUAGES
    }
    COUNTS: ClassVar = {"raw": (29_000, 1_014, 1_000, 1_000, 461, 1_071), "tok": (29_000, 1_014, 1_000)}
    UNIT = "pairs"

    @classmethod
    def needs(cls, config: str) -> list[str]:
        """Each form has its folder."""
        return [name for name in cls.FILES if name.startswith(f"{config}/")]

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`de` and `en`: a sentence and its translation."""
        return {language: tfds.features.Text() for language in LANGUAGES}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, in the order of the lines."""
        return {split: _pairs(raw, stem) for split, stem in PARTS[config].items()}


def _pairs(raw: Raw, stem: str) -> Iterator[Example]:
    names = [f"{stem}.{language}" for language in LANGUAGES]
    columns = [list(raw.lines(name)) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise unequal(raw, names, map(len, columns))
    for rows in zip(*columns, strict=True):
        for name, (number, text) in zip(names, rows, strict=True):
            if not text.strip():
                raise raw.error(name, number, "a sentence", "an empty line")
        yield {language: text for language, (_, text) in zip(LANGUAGES, rows, strict=True)}
