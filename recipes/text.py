"""Text as numbers: how raw text falls into tokens and becomes ids; parts of a set that share no text."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recipes.data import Split
from recipes.vocabulary import PADDING, UNKNOWN, Vocabulary

# Python's \w has no accents and vowel signs that stand behind their letter: categories Mn, Mc and Me of the Basic
# Multilingual Plane, the variation selectors, and both joiners. Letters between them are named with them.
_MARKS = (
    r"\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1-\u05c2\u05c4-\u05c5\u05c7\u0610-\u061a\u064b-\u065f"
    r"\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0711-\u07f3\u07fd\u0816-\u082d\u0859-\u085b\u0898-\u08e1"
    r"\u08e3-\u0963\u0981-\u09e3\u09fe-\u0a75\u0a81-\u0ae3\u0afa-\u0b63\u0b82-\u0bd7\u0c00-\u0c63\u0c81-\u0c83"
    r"\u0cbc-\u0d4d\u0d57-\u0d63\u0d81-\u0df3\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ecd\u0f18-\u0f19\u0f35\u0f37"
    r"\u0f39\u0f3e-\u0f84\u0f86-\u0fbc\u0fc6\u102b-\u103e\u1056-\u109d\u135d-\u135f\u1712-\u1734\u1752-\u17d3"
    r"\u17dd\u180b-\u180d\u180f-\u193b\u1a17-\u1a1b\u1a55-\u1a7f\u1ab0-\u1b44\u1b6b-\u1b73\u1b80-\u1bf3"
    r"\u1c24-\u1c37\u1cd0-\u1cd2\u1cd4-\u1dff\u200c-\u200d\u20d0-\u20f0\u2cef-\u2cf1\u2d7f-\u2dff\u302a-\u302f"
    r"\u3099-\u309a\ua66f-\ua672\ua674-\ua67d\ua69e-\ua6f1\ua802-\ua827\ua82c\ua880-\ua8c5\ua8e0-\ua8f1"
    r"\ua8ff-\ua92d\ua947-\ua953\ua980-\ua9c0\ua9e5-\uaa4d\uaa7b-\uaac1\uaaeb-\uaaef\uaaf5-\uaaf6\uabe3-\uabea"
    r"\uabec-\uabed\ufb1e\ufe00-\ufe0f\ufe20-\ufe2f\U000e0100-\U000e01ef"
)
WORDS = rf"<br ?/?>|\w(?:[\w{_MARKS}]+|['\u2019](?=\w))*|[^\w\s]"
"""A word, with its combining marks and what its apostrophes join; any other sign by itself; a line break of HTML."""
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
        Part -> rows in ascending order. A class with a key for every part has one in each; one with fewer is all in
        `train`.
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
        # With fewer keys than parts, what is held out could be what nobody has learned.
        held_out = shares if len(members) > len(shares) else {}
        left = {name: max(1, round(share * count)) for name, share in held_out.items()}
        placed: dict[str, list[list[int]]] = {name: [] for name in parts}
        for place in random.permutation(len(members)):
            size = len(members[place])
            name = next((name for name, room in left.items() if room >= size), "train")
            placed[name].append(members[place])
            if name in left:
                left[name] -= size
        for name in held_out:
            if not placed[name]:
                giver = max(placed.values(), key=len)
                placed[name].append(giver.pop(giver.index(min(giver, key=len))))
        for name, own in placed.items():
            parts[name].extend(row for rows in own for row in rows)
    return {name: sorted(rows) for name, rows in parts.items()}
