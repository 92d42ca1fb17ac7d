"""Text as numbers: how raw text falls into tokens and becomes ids; parts of a set that share no text."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recipes.data import Split
from recipes.vocabulary import PADDING, UNKNOWN, Vocabulary

WORDS = r"<br ?/?>|\w+(?:['\u2019]\w+)*|[^\w\s]"
"""A word, with what its apostrophes join; any other sign by itself; a line break of HTML."""
CHARACTERS = r"(?s)."
"""Each character, white space too."""

# The split is the task's, not the run's: seeds are compared on the same examples.
SPLIT_SEED = 0
HELD_OUT = {"test": 0.1, "validation": 0.1}
"""What is held out of a user's own file, as shares of it."""


class TextReader:
    """From a raw text to the ids that a model reads, by nothing but the metadata of its exported file.

    The metadata's words: `vocabulary` and `unknown_id`; `token_pattern`, a regular expression whose matches are the
    tokens; `lowercase`, whether the text is put into lower case before; `last`, how many tokens from the end are kept.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        """Prepares the look-up.

        Args:
            metadata: As `describe` gives it, or as `export.load_runtime(file).metadata` does.
        """
        self._find = re.compile(metadata["token_pattern"]).findall
        self._lowercase, self._last = metadata["lowercase"], metadata["last"]
        self._unknown = metadata["unknown_id"]
        self._ids = {token: place for place, token in enumerate(metadata["vocabulary"])}

    def __call__(self, text: str) -> np.ndarray:
        """Reads a text.

        Args:
            text: As its author wrote it.

        Returns:
            Token ids, (time,) int32; of a text without any token that of `<unk>` alone.
        """
        ids = [self._ids.get(token, self._unknown) for token in self.tokens(text)]
        return np.array(ids or [self._unknown], "int32")

    def tokens(self, text: str) -> list[str]:
        """Cuts a text into the tokens that are kept."""
        return self._find(text.lower() if self._lowercase else text)[-self._last :]


def describe(
    texts: Iterable[str], *, pattern: str = WORDS, lowercase: bool = True, last: int, size: int
) -> dict[str, Any]:
    """Settles how text becomes ids: the metadata for `TextReader`.

    Args:
        texts: The training part.
        pattern: A regular expression whose matches are the tokens.
        lowercase: Whether upper and lower case are the same.
        last: How many tokens of a text are kept, those at its end.
        size: How many entries the vocabulary may have at most.

    Returns:
        The metadata, JSON.
    """
    reading: dict[str, Any] = {"token_pattern": pattern, "lowercase": lowercase, "last": last}
    reading |= {"padding_id": PADDING, "unknown_id": UNKNOWN}
    cut = TextReader({**reading, "vocabulary": []}).tokens
    known = Vocabulary.of([cut(text) for text in texts])
    return reading | {"vocabulary": list(known.tokens[:size])}


@dataclasses.dataclass(frozen=True, eq=False)
class TextSplit(Split):
    """A part of the data that remembers what its numbers stand for, so that a report can show it.

    Attributes:
        texts: Each example as its author wrote it: a text, or its words.
        labels: The name of each class.
    """

    texts: Sequence[Any] = ()
    labels: tuple[str, ...] = ()


def split_rows(
    keys: Sequence[Any], classes: Sequence[Any] | None = None, shares: Mapping[str, float] = HELD_OUT
) -> dict[str, list[int]]:
    """Holds out parts of a set: examples with the same key all in one part, each class by the same shares.

    Args:
        keys: What makes two examples the same, such as their text.
        classes: The class of each example; None where there are none.
        shares: Part -> its share; what is left is `train`.

    Returns:
        Part -> rows in ascending order. A class with an example for every part has one in each.
    """
    groups: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    by_class: dict[Any, list[list[int]]] = {}
    for rows in groups.values():
        by_class.setdefault(classes[rows[0]] if classes is not None else None, []).append(rows)
    parts: dict[str, list[int]] = {"train": [], **{name: [] for name in shares}}
    random = np.random.default_rng(SPLIT_SEED)
    for members in by_class.values():
        count = sum(map(len, members))
        enough = len(members) > len(shares)
        left = {name: max(int(enough), round(share * count)) for name, share in shares.items()}
        for place in random.permutation(len(members)):
            name = next((name for name, room in left.items() if room > 0), "train")
            parts[name].extend(members[place])
            left[name] = left.get(name, 0) - len(members[place])
    return {name: sorted(rows) for name, rows in parts.items()}
