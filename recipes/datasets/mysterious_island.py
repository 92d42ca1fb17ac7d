from collections.abc import Iterable
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/rasbt/machine-learning-book/35ab3774e8e249c43a98209d8efd94c060102003/ch15/"
NAME = "1268-0.txt"
BEGIN, END = "THE MYSTERIOUS ISLAND", "End of the Project Gutenberg"
HELD_OUT = 0.1
"""Share of the characters in the last two parts together."""


class MysteriousIsland(Source):
    """One book as one long text, cut as in Raschka & Mirjalili's chapter 15; the split is ours."""

    ABOUT = "Jules Verne's The Mysterious Island in English, characters; the last tenth is held out"
    LICENCE = "public domain in the USA (Project Gutenberg's licence is in the file)"
    HOMEPAGE = "https://www.gutenberg.org/ebooks/1268"
    CITATION = """@book{verne1875mysterious,
  title={The Mysterious Island}, author={Verne, Jules}, year={1875}, note={Project Gutenberg 1268}
}"""
    FILES: ClassVar = {NAME: f"{URL}{NAME}"}
    COUNTS: ClassVar = {"": (1_001_115, 55_617, 55_618)}
    UNIT = "characters"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`text`: all of the part."""
        return {"text": tfds.features.Text()}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the first 90 % of the characters, the next 5 % and the last 5 %: one example each."""
        text = "\n".join(line for _, line in raw.lines(NAME)) + "\n"
        for mark in (BEGIN, END):
            if mark not in text:
                raise raw.error(NAME, None, f"the book between {BEGIN!r} and {END!r}", f"no {mark!r}")
        book = text[text.index(BEGIN) : text.index(END)]
        train = round(len(book) * (1 - HELD_OUT))
        middle = (train + len(book)) // 2
        parts = {"train": book[:train], "validation": book[train:middle], "test": book[middle:]}
        return {split: [{"text": part}] for split, part in parts.items()}
