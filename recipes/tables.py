"""The user's own files: CSV, plain text, CoNLL. Each may be compressed (`.gz`); what is wrong names file and line."""

import dataclasses
import difflib
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recipes import dates
from recipes.csv_rows import SEPARATORS, read_rows
from recipes.errors import RecipeError, UsageError
from recipes.fields import near_match
from recipes.user_files import bad, decoded, shown

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
TAGS = ("upos", "xpos", "deprel", "feats", "lemma")
"""Columns of CoNLL-U that a tagger can learn."""
GAPS = ("", "-", "--", ".", "?", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "null", "none")
"""What stands where a number is missing, in lower case."""
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)")


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A tagged sentence.

    Attributes:
        tokens: The words.
        tags: One for each word.
    """

    tokens: list[str]
    tags: list[str]


def read_csv(
    path: str | Path,
    *,
    numbers: Sequence[str] = (),
    texts: Sequence[str] = (),
    time: str | None = None,
    gaps: bool = False,
) -> dict[str, np.ndarray | list[str]]:
    """Reads columns of a CSV file with a header.

    Cells are separated by comma, semicolon, tab or `|`: by what cuts the first rows alike, see `read_rows`. Quoted
    cells may hold separators and line breaks. Lines without anything are passed over.

    Args:
        path: The file, UTF-8.
        numbers: Columns whose cells are all finite numbers, but for gaps where these are allowed.
        texts: Columns whose cells all say something, such as texts and their labels.
        time: A column whose cells say when: numbers or dates, see `recipes.dates`; they must increase.
        gaps: Whether a number may be missing, the cell empty or one of `GAPS`; not in the first row.

    Returns:
        Column -> a float64 array (rows,) for numbers, NaN where one is missing, a list for texts and time, in the
        order of the rows.

    Raises:
        UsageError: There is no such column; names the near one and lists all.
        RecipeError: The file cannot be read, is no table, or has a bad cell; names the line.
    """
    path = Path(path)
    wanted = [*numbers, *texts, *([time] if time is not None else [])]
    rows = read_rows(path, wanted)
    top, header = next(rows, (1, []))
    places = {column: _place(path, top, header, column) for column in wanted}
    cells: dict[str, list[str]] = {column: [] for column in wanted}
    values: dict[str, list[float]] = {column: [] for column in numbers}
    lines = []
    for line, row in rows:
        if len(row) != len(header):
            raise bad(path, line, f"{len(header)} cells, as in the header ({SEPARATORS})", f"{len(row)}")
        lines.append(line)
        for column, place in places.items():
            cell = row[place].strip()
            if column in values:
                fillable = bool(values[column]) and cell.lower() in GAPS
                value = math.nan if gaps and fillable else _number(path, line, column, cell, fillable)
                values[column].append(value)
            elif not cell:
                kind = "time" if column == time else "text"
                raise bad(path, line, f"a {kind} in column {column!r}", "an empty cell")
            cells[column].append(cell)
    if not lines:
        raise RecipeError(f"{path}: expected rows below the header, found none")
    if time is not None:
        _check_order(path, time, lines, cells[time])
    return {column: np.asarray(values[column]) if column in values else cells[column] for column in wanted}


def read_text(path: str | Path) -> str:
    r"""Reads a text.

    Args:
        path: The file, UTF-8.

    Returns:
        All of it, with `\n` at the ends of the lines.

    Raises:
        RecipeError: It cannot be read or is empty; names the line that is not UTF-8.
    """
    text = decoded(Path(path)).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise RecipeError(f"{path}: expected a text, found an empty file")
    return text


def read_conllu(path: str | Path, column: str | None = None) -> list[Sentence]:
    """Reads tagged sentences.

    Two forms: CoNLL-U, ten columns with a tab between them, of which ranges (`1-2`) and empty words (`8.1`) are passed
    over; or a word and its tag in each line, with a tab or spaces between them, and comments before a sentence that
    start with a number sign and a blank. A blank line ends a sentence.

    Args:
        path: The file, UTF-8.
        column: What is the tag in CoNLL-U: one of `TAGS`; `upos` where nobody says.

    Returns:
        The sentences, in their order.

    Raises:
        UsageError: There is no such column, or the file is no CoNLL-U.
        RecipeError: The file cannot be read or has a malformed line; names it.
    """
    if column is not None and column not in TAGS:
        raise UsageError(f"CoNLL-U has no column {column!r} to learn{near_match(column, TAGS)}")
    path = Path(path)
    lines = read_text(path).split("\n")
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    tabs = "\t" in first
    full = tabs and len(first.split("\t")) > 2
    if first and not full and column is not None:
        raise UsageError(f"{path} has one tag for each word, it is no CoNLL-U: there is no column {column!r} in it")
    sentences, current = [], Sentence([], [])
    for number, line in enumerate([*lines, ""] if first else [], start=1):
        if not line.strip():
            if current.tokens:
                sentences.append(current)
                current = Sentence([], [])
            continue
        before = len(current.tokens)
        word = (
            _conllu_word(path, number, line, column or "upos", before)
            if full
            else _word(path, number, line, tabs, before)
        )
        if word is not None:
            current.tokens.append(word[0])
            current.tags.append(word[1])
    if not sentences:
        raise RecipeError(f"{path}: expected tagged sentences, found none")
    return sentences


def _place(path: Path, line: int, header: Sequence[str], column: str) -> int:
    names = [name.strip() for name in header]
    if names.count(column) > 1:
        raise bad(path, line, f"one column {column!r}", f"{names.count(column)}")
    if column in names:
        return names.index(column)
    near = difflib.get_close_matches(column, names, n=1)
    hint = f"did you mean {near[0]!r}? It" if near else "it"
    cells = f" alone; cells are {SEPARATORS}" if len(names) == 1 else ""
    raise UsageError(f"{path} has no column {column!r}; {hint} has {', '.join(map(repr, names)) or 'none'}{cells}")


def _number(path: Path, line: int, column: str, cell: str, fillable: bool) -> float:
    try:
        # Python also reads 1_000, which no CSV file means.
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        hint, option = "", "; --fill-gaps takes the one before" if fillable else ""
        if _THOUSANDS.fullmatch(cell):
            hint = " (write 1234 or 1.234, not 1,234)"
        elif _DECIMAL_COMMA.fullmatch(cell):
            hint = " (write 0.5, not 0,5)"
        raise bad(
            path, line, f"a number in column {column!r}{hint}", f"{shown(cell) if cell else 'an empty cell'}{option}"
        )
    return value


def _check_order(path: Path, column: str, lines: Sequence[int], cells: Sequence[str]) -> None:
    try:
        wrong = dates.first_wrong(cells)
    except ValueError as error:
        raise RecipeError(
            f"{path}: column {column!r} can't be read as times: {error}; without --time the rows are taken as they come"
        ) from None
    if wrong is not None:
        place, expected = wrong
        why = ": rows go in time order" if "after" in expected else ""
        raise bad(path, lines[place], f"{expected} in column {column!r}{why}", shown(cells[place]))


def _conllu_word(path: Path, number: int, line: str, column: str, before: int) -> tuple[str, str] | None:
    if line.startswith("#"):
        return None
    cells = line.split("\t")
    if len(cells) != len(CONLLU):
        expected = f"{len(CONLLU)} columns with tabs between them (or, in every line, a word and its tag)"
        raise bad(path, number, expected, f"{len(cells)}")
    name, form, tag = cells[0], cells[1], cells[CONLLU.index(column)]
    parts = name.replace("-", ".", 1).split(".")
    if len(parts) == 2 and all(part.isdecimal() for part in parts):
        return None
    if name != str(before + 1):
        raise bad(path, number, f"word {before + 1} of the sentence", f"the id {shown(name)}")
    if not form.strip():
        raise bad(path, number, "a word in column 'form'", "an empty cell")
    # "_" is CoNLL-U's sign for nothing: a word may have no features. A lemma can be the underscore itself.
    nothing = tag == "_" and column != "feats" and not (column == "lemma" and form == "_")
    if not tag.strip() or nothing:
        raise bad(path, number, f"a tag in column {column!r}", shown(tag))
    return form, tag


def _word(path: Path, number: int, line: str, tabs: bool, before: int) -> tuple[str, str] | None:
    if line.startswith("# ") and not before:
        return None
    cells = [cell.strip() for cell in line.split("\t")] if tabs else line.split()
    if len(cells) != 2 or not all(cells):
        if line.startswith("#"):
            return None
        raise bad(path, number, "a word and its tag with a tab or spaces between them", shown(line))
    return cells[0], cells[1]
