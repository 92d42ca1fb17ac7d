"""A long text as a language model reads it: streams to train on, long rows to test on, one vocabulary."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recipes.data import Data, Ragged, Split, Stream
from recipes.errors import RecipeError, UsageError
from recipes.recipe import recipe_name
from recipes.vocabulary import PADDING, SPECIAL, UNKNOWN, Vocabulary, never_written

LINE_END = "\n"
"""A token as any other: a text starts behind one."""
ROW: dict[str, int] = {"characters": 2_000, "words": 16_400}
"""Steps of a row of the test part, each read from zero states.

Scores of 10,000 words for a row of words are 0.7 GB: rows are so long that judging runs them one by one.
"""
PROMPT: dict[str, int] = {"characters": 40, "words": 6}


@dataclasses.dataclass(frozen=True)
class TextRows(Split):
    """A text in long rows.

    Attributes:
        vocabulary: What the ids stand for.
        tokenisation: `"characters"` or `"words"`.
    """

    vocabulary: tuple[str, ...]
    tokenisation: str

    @classmethod
    def of(cls, ids: np.ndarray, vocabulary: Sequence[str], tokenisation: str) -> "TextRows":
        """Cuts a text: each token is a target once, but for the first.

        Args:
            ids: The text, (steps,).
            vocabulary: What they stand for.
            tokenisation: `"characters"` or `"words"`.

        Returns:
            The rows, all but the last of `ROW` steps.
        """
        lengths = np.diff([*range(0, len(ids) - 1, ROW[tokenisation]), len(ids) - 1])
        inputs, targets = (Ragged(part, lengths) for part in (ids[:-1], ids[1:]))
        return cls({"token_ids": inputs}, targets, tuple(vocabulary), tokenisation)

    @property
    def size(self) -> int:
        """How much it is, for people: its tokens, as of the parts that are streams."""
        return len(self.targets.values)

    def text(self, ids: Sequence[int] | np.ndarray) -> str:
        """Puts tokens together."""
        return ("" if self.tokenisation == "characters" else " ").join(self.vocabulary[token] for token in ids)

    @property
    def prompts(self) -> tuple[str, str]:
        """The beginnings of two lines, from the first and the second half, as far as the vocabulary knows them."""
        first, second = (self._line_at(share) for share in (0.25, 0.75))
        return first, second

    def _line_at(self, share: float) -> str:
        ids = self.targets.values  # type: ignore[union-attr]  # rows are ragged
        ends = set(np.flatnonzero(ids == self.vocabulary.index(LINE_END)) if LINE_END in self.vocabulary else ())
        # Behind the end of a line that is followed by no empty one.
        later = [end + 1 for end in sorted(ends) if share * len(ids) <= end < len(ids) - 1 and end + 1 not in ends]
        start = later[0] if later else 0
        beginning = ids[start : start + PROMPT[self.tokenisation]]
        line = itertools.takewhile(lambda i: self.vocabulary[i] != LINE_END, beginning)
        known = [i for i in line if i >= len(SPECIAL)]
        # Of a line with nothing but unknown words that which the text has most.
        often = (i for i in range(len(SPECIAL), len(self.vocabulary)) if self.vocabulary[i] != LINE_END)
        return self.text(known or [next(often)])


def words(text: str) -> list[str]:
    """Cuts a text at white space; the end of each line that says something is a token too."""
    return [token for line in text.splitlines() if line.strip() for token in (*line.split(), LINE_END)]


def language_data(
    recipe: Any,
    parts: Mapping[str, Sequence[str]],
    tokenisation: str,
    summary: str,
    *,
    min_count: int = 1,
    limit: int | None = None,
) -> Data:
    """Makes the data of a language model.

    Args:
        recipe: Gives `batch_size` and `window`.
        parts: `train`, `validation` and `test`: each a text's tokens; of characters the text itself.
        tokenisation: `"characters"` or `"words"`.
        summary: What it is and where it comes from.
        min_count: Tokens that the training part has less often count as unknown.
        limit: How many entries the vocabulary may have at most; None: all.

    Returns:
        Streams of `token_ids` for training and validation, `TextRows` to test.

    Raises:
        RecipeError: A part is too short to be read at `batch_size` places.
    """
    for part, tokens in parts.items():
        least = 2 if part == "test" else recipe.batch_size + 1
        if len(tokens) < least:
            raise RecipeError(
                f"{recipe_name(type(recipe))}: the text is too short: its {part} part has {len(tokens)} of the "
                f"{least} {tokenisation} needed; bring a longer one, or lower batch_size ({recipe.batch_size})"
            )
    tokens = Vocabulary.of([parts["train"]], min_count=min_count).tokens
    vocabulary = Vocabulary(tokens[:limit])
    if not set(vocabulary.tokens) - {*SPECIAL, LINE_END}:
        often = f"those that the training part has {min_count} times at least"
        raise UsageError(
            f"{recipe_name(type(recipe))}: no {tokenisation} to learn: known are {often}"
            f"{f', at most {limit} entries in all' if limit else ''}; bring a longer text, or a larger vocabulary"
        )
    ids = {part: np.array(vocabulary.ids(tokens), "int32") for part, tokens in parts.items()}
    train, validation = (
        Stream({"token_ids": ids[part][:-1]}, ids[part][1:], recipe.window) for part in ("train", "validation")
    )
    return Data(
        train=train,
        validation=validation,
        test=TextRows.of(ids["test"], vocabulary.tokens, tokenisation),
        summary=summary,
        preprocessing={"token_ids": _described(tokenisation)},
        metadata=_metadata(vocabulary, tokenisation) | never_written(np.unique(train.targets).tolist()),
    )


def _described(tokenisation: str) -> str:
    cut = "each character" if tokenisation == "characters" else "each word between white space, and each end of a line"
    return f"the place of {cut} in the vocabulary; what it lacks is {UNKNOWN}; a text starts behind the end of a line"


def _metadata(vocabulary: Vocabulary, tokenisation: str) -> dict[str, Any]:
    """In the words of `export.TextGenerator`."""
    known: dict[str, Any] = {"vocabulary": list(vocabulary.tokens), "tokenisation": tokenisation, "padding_id": PADDING}
    if LINE_END in vocabulary.tokens:
        known["start_id"] = vocabulary.tokens.index(LINE_END)
    # A prompt may have any words, as texts have; a character that the model has never seen is a mistake.
    return known | ({"unknown_id": UNKNOWN} if tokenisation == "words" else {})
