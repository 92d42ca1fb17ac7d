import re
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/cmusphinx/cmudict/0f8072f814306c5ee4fbf992ed853601b12c01f9/"
DICTIONARY, SYMBOLS = "cmudict.dict", "cmudict.symbols"
ENTRY = re.compile(r"(?P<word>[^\s()]+)(\((?P<variant>[0-9]+)\))? (?P<phones>[^#]+?)( *#.*)?")
# The split is the set's, not the run's: seeds are compared on the same words.
SPLIT_SEED = 0
VALIDATION, TEST = 0.05, 0.1


class Cmudict(Source):
    """The CMU Pronouncing Dictionary. The split, 85/5/10, is ours: by word, with all its pronunciations in one part."""

    ABOUT = "English words and how they are pronounced; 85/5/10 by word, variants in one part"
    LICENCE = "BSD 2-clause"
    HOMEPAGE = "https://github.com/cmusphinx/cmudict"
    CITATION = """@misc{cmudict,
  title={The CMU Pronouncing Dictionary}, author={Carnegie Mellon University}, year={2014}
}"""
    FILES: ClassVar = {name: f"{URL}{name}" for name in (DICTIONARY, SYMBOLS)}
    COUNTS: ClassVar = {"": (114_917, 6_759, 13_490)}
    UNIT = "entries"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`word`; `phones`: ARPAbet, vowels with their stress (0, 1, 2)."""
        return {"word": tfds.features.Text(), "phones": tfds.features.Sequence(tfds.features.Text())}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Splits the words at random, with a fixed seed; within a part entries keep their order."""
        known = {line.strip() for _, line in raw.lines(SYMBOLS)}
        entries = [_entry(raw, number, line, known) for number, line in raw.lines(DICTIONARY)]
        words = sorted({entry["word"] for entry in entries})
        order = np.random.default_rng(SPLIT_SEED).permutation(len(words))
        test, validation = round(TEST * len(words)), round((TEST + VALIDATION) * len(words))
        ranks = {words[place]: rank for rank, place in enumerate(order)}
        splits: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
        for entry in entries:
            rank = ranks[entry["word"]]
            splits["test" if rank < test else "validation" if rank < validation else "train"].append(entry)
        return dict(splits)


def _entry(raw: Raw, number: int, line: str, known: set[str]) -> Example:
    found = ENTRY.fullmatch(line)
    if found is None:
        raise raw.error(DICTIONARY, number, "an entry such as 'read(2) R IY1 D'", repr(line[:40]))
    phones = found["phones"].split()
    if unknown := [phone for phone in phones if phone not in known]:
        raise raw.error(DICTIONARY, number, f"phones from {SYMBOLS}", repr(unknown[0]))
    return {"word": found["word"], "phones": phones}
