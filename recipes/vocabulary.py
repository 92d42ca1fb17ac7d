"""Words and their ids, the same for every recipe that writes text."""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

PADDING, UNKNOWN, START, END = range(4)
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
"""What stands at these four ids in every vocabulary."""
NEVER_WRITTEN = "never_written"
"""The metadata's word for the ids that stand for no text."""


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The tokens that a model knows.

    Attributes:
        tokens: Each at the place of its id, `SPECIAL` in front.
    """

    tokens: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], *, min_count: int = 1) -> "Vocabulary":
        """Collects the tokens of a training part, the frequent ones first.

        Args:
            texts: Each a sequence of tokens.
            min_count: Tokens that are seen less often count as unknown.

        Returns:
            The vocabulary; tokens that are seen equally often stand in alphabetical order.
        """
        counts = collections.Counter(token for text in texts for token in text if token not in SPECIAL)
        known = sorted((-count, token) for token, count in counts.items() if count >= min_count)
        return cls((*SPECIAL, *(token for _, token in known)))

    def __len__(self) -> int:
        return len(self.tokens)

    def ids(self, text: Iterable[str]) -> list[int]:
        """Looks tokens up.

        Args:
            text: The tokens.

        Returns:
            Their ids, `UNKNOWN` for those that the vocabulary lacks. What is written in a text as `</s>` is no end.
        """
        return [self._places.get(token, UNKNOWN) for token in text]

    def read(self, ids: Iterable[int]) -> list[str]:
        """Turns ids into tokens.

        Args:
            ids: As a model writes them.

        Returns:
            The tokens before the first end, without padding.
        """
        return [self.tokens[token] for token in _before_the_end(ids)]

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.tokens) if place >= len(SPECIAL)}


def never_written(ids: Iterable[int]) -> dict[str, list[int]]:
    """Finds the reserved tokens that a model is never taught to write: in most texts padding and the start.

    Args:
        ids: All of the training part's targets; ends and unknown tokens may be among them.

    Returns:
        What the metadata tell.
    """
    return {NEVER_WRITTEN: sorted(set(range(len(SPECIAL))) - set(ids))}


def _before_the_end(ids: Iterable[int]) -> Iterator[int]:
    for token in map(int, ids):
        if token == END:
            return
        if token != PADDING:
            yield token
