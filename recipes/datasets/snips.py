from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source, unequal

URL = "https://raw.githubusercontent.com/MiuLab/SlotGated-SLU/61f0307c729b1fad479ef1de94aa5ac5dee601b0/data/snips/"
PARTS = {"train": "train", "validation": "valid", "test": "test"}
COLUMNS = ("seq.in", "seq.out", "label")


class Snips(Source):
    """Commands to a voice assistant, with Goo et al.'s split (2018)."""

    ABOUT = "Commands to a voice assistant: a slot tag for each word (BIO), an intent for each command"
    LICENCE = "CC0 1.0"
    HOMEPAGE = "https://github.com/MiuLab/SlotGated-SLU"
    CITATION = """@article{coucke2018snips,
  title={Snips Voice Platform: an embedded Spoken Language Understanding system for private-by-design voice interfaces},
  author={Coucke, Alice and others}, year={2018}, eprint={1805.10190}
}"""
    FILES: ClassVar = {f"{part}/{column}": f"{URL}{part}/{column}" for part in PARTS.values() for column in COLUMNS}
    COUNTS: ClassVar = {"": (13_084, 700, 700)}
    UNIT = "commands"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`tokens`, `tags`: one for each token; `intent`."""
        texts = tfds.features.Sequence(tfds.features.Text())
        return {"tokens": texts, "tags": texts, "intent": tfds.features.Text()}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, in the order of the lines."""
        return {split: _commands(raw, part) for split, part in PARTS.items()}


def _commands(raw: Raw, part: str) -> Iterator[Example]:
    names = [f"{part}/{column}" for column in COLUMNS]
    columns = [list(raw.lines(name)) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise unequal(raw, names, map(len, columns))
    for (number, words), (_, slots), (_, intent) in zip(*columns, strict=True):
        tokens, tags = words.split(), slots.split()
        if not tokens or not intent.strip():
            raise raw.error(names[0] if not tokens else names[2], number, "a command and its intent", "an empty line")
        if len(tokens) != len(tags):
            raise raw.error(names[1], number, f"{len(tokens)} tags, one for each word", f"{len(tags)}")
        yield {"tokens": tokens, "tags": tags, "intent": intent.strip()}
