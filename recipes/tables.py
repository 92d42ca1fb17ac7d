"""The user's own files: CSV, plain text, CoNLL. Each may be compressed (`.gz`); what is wrong names file and line."""

import csv
import dataclasses
import datetime
import difflib
import gzip
import io
import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from recipes.errors import RecipeError, UsageError
from recipes.fields import near_match

DELIMITERS = (",", ";", "\t")
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
TAGS = ("upos", "xpos", "deprel", "feats", "lemma")
"""Columns of CoNLL-U that a tagger can learn."""
GAPS = ("", "-", "?", "na", "n/a", "nan", "null", "none")
"""What stands where a number is missing, in lower case."""
EXCERPT = 40
"""Characters of a bad cell that an error shows."""


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

    The delimiter is the one of comma, semicolon and tab that cuts the header into most cells. Quoted cells may hold
    delimiters and line breaks. Lines without anything are passed over.

    Args:
        path: The file, UTF-8.
        numbers: Columns whose cells are all finite numbers, but for gaps where these are allowed.
        texts: Columns whose cells all say something, such as texts and their labels.
        time: A column whose cells say when; where all are numbers or ISO dates, they must increase.
        gaps: Whether a number may be missing, the cell empty or one of `GAPS`; not in the first row.

    Returns:
        Column -> a float64 array (rows,) for numbers, NaN where one is missing, a list for texts and time, in the
        order of the rows.

    Raises:
        UsageError: There is no such column; names the near one and lists all.
        RecipeError: The file cannot be read, is no table, or has a bad cell; names the line.
    """
    path = Path(path)
    rows = _rows(path)
    _, header = next(rows, (0, []))
    wanted = [*numbers, *texts, *([time] if time is not None else [])]
    places = {column: _place(path, header, column) for column in wanted}
    cells: dict[str, list[str]] = {column: [] for column in wanted}
    values: dict[str, list[float]] = {column: [] for column in numbers}
    lines = []
    for line, row in rows:
        if len(row) != len(header):
            raise _bad(path, line, f"{len(header)} cells, as in the header", f"{len(row)}")
        lines.append(line)
        for column, place in places.items():
            cell = row[place].strip()
            if column in values:
                is_gap = gaps and bool(values[column]) and cell.lower() in GAPS
                values[column].append(math.nan if is_gap else _number(path, line, column, cell))
            elif not cell:
                raise _bad(path, line, f"a text in column {column!r}", "an empty cell")
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
    text = _decoded(Path(path)).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise RecipeError(f"{path}: expected a text, found an empty file")
    return text


def read_conllu(path: str | Path, column: str = "upos") -> list[Sentence]:
    """Reads tagged sentences.

    Two forms: CoNLL-U, ten columns with a tab between them, of which ranges (`1-2`) and empty words (`8.1`) are passed
    over; or a word and its tag in each line, with a tab or spaces between them. A blank line ends a sentence.

    Args:
        path: The file, UTF-8.
        column: What is the tag in CoNLL-U: one of `TAGS`.

    Returns:
        The sentences, in their order.

    Raises:
        UsageError: There is no such column.
        RecipeError: The file cannot be read or has a malformed line; names it.
    """
    if column not in TAGS:
        raise UsageError(f"CoNLL-U has no column {column!r} to learn{near_match(column, TAGS)}")
    path = Path(path)
    lines = read_text(path).split("\n")
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    tabs = "\t" in first
    full = tabs and len(first.split("\t")) > 2
    sentences, current = [], Sentence([], [])
    for number, line in enumerate([*lines, ""] if first else [], start=1):
        if not line.strip():
            if current.tokens:
                sentences.append(current)
                current = Sentence([], [])
            continue
        before = len(current.tokens)
        word = _conllu_word(path, number, line, column, before) if full else _word(path, number, line, tabs)
        if word is not None:
            current.tokens.append(word[0])
            current.tags.append(word[1])
    if not sentences:
        raise RecipeError(f"{path}: expected tagged sentences, found none")
    return sentences


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError:
        there = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, there, n=1)
        raise RecipeError(f"there is no file {path}{f'; did you mean {near[0]!r}?' if near else ''}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecipeError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RecipeError(f"{path}: expected UTF-8, found UTF-16: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _bad(path, line, "text in UTF-8", f"byte 0x{error.object[error.start]:02x}") from error


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(path)
    if not text.strip():
        raise RecipeError(f"{path}: expected a header and rows, found an empty file")
    # A cell may be as long as the file; the csv module's own limit is 131,072 characters.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        line = 1
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                problem = "a quote that is never closed" if "unexpected end" in str(error) else str(error)
                raise _bad(path, line, "cells, quoted as CSV is", problem) from error
            if row is None:
                return
            if row and not (len(row) == 1 and row[0].isspace()):
                yield line, row
            line = reader.line_num + 1
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str) -> str:
    def cells(delimiter: str) -> int:
        try:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            return len(next(row for row in rows if any(cell.strip() for cell in row)))
        except (csv.Error, StopIteration):
            return 0

    return max(DELIMITERS, key=cells)


def _place(path: Path, header: Sequence[str], column: str) -> int:
    names = [name.strip() for name in header]
    if names.count(column) > 1:
        raise _bad(path, 1, f"one column {column!r}", f"{names.count(column)}")
    if column in names:
        return names.index(column)
    near = difflib.get_close_matches(column, names, n=1)
    hint = f"did you mean {near[0]!r}? It" if near else "it"
    raise UsageError(f"{path} has no column {column!r}; {hint} has {', '.join(map(repr, names))}")


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        # Python also reads 1_000, which no CSV file means.
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        hint = " (write 0.5, not 0,5)" if cell.replace(",", "", 1).lstrip("+-").isdecimal() else ""
        raise _bad(path, line, f"a number in column {column!r}{hint}", _shown(cell) if cell else "an empty cell")
    return value


def _check_order(path: Path, column: str, lines: Sequence[int], cells: Sequence[str]) -> None:
    try:
        moments = [_moment(cell) for cell in cells]
        for place in range(1, len(moments)):
            if moments[place] <= moments[place - 1]:  # type: ignore[operator]
                expected = f"a time after {cells[place - 1]!r} in column {column!r}: rows go in time order"
                raise _bad(path, lines[place], expected, _shown(cells[place]))
    except (ValueError, TypeError):
        # Dates in words, or with a time zone here and none there: the file's order is all that is known.
        return


def _moment(cell: str) -> float | datetime.datetime:
    try:
        return float(cell)
    except ValueError:
        return datetime.datetime.fromisoformat(cell)


def _conllu_word(path: Path, number: int, line: str, column: str, before: int) -> tuple[str, str] | None:
    if line.startswith("#"):
        return None
    cells = line.split("\t")
    if len(cells) != len(CONLLU):
        expected = f"{len(CONLLU)} columns with tabs between them (or, in every line, a word and its tag)"
        raise _bad(path, number, expected, f"{len(cells)}")
    name, form, tag = cells[0], cells[1], cells[CONLLU.index(column)]
    parts = name.replace("-", ".", 1).split(".")
    if len(parts) == 2 and all(part.isdecimal() for part in parts):
        return None
    if name != str(before + 1):
        raise _bad(path, number, f"word {before + 1} of the sentence", f"the id {_shown(name)}")
    if not form.strip():
        raise _bad(path, number, "a word in column 'form'", "an empty cell")
    # "_" is CoNLL-U's sign for nothing; only in the lemma's place can it be the underscore itself.
    if not tag.strip() or (tag == "_" and not (column == "lemma" and form == "_")):
        raise _bad(path, number, f"a tag in column {column!r}", _shown(tag))
    return form, tag


def _word(path: Path, number: int, line: str, tabs: bool) -> tuple[str, str] | None:
    cells = [cell.strip() for cell in line.split("\t")] if tabs else line.split()
    if len(cells) != 2 or not all(cells):
        if line.startswith("#"):
            return None
        raise _bad(path, number, "a word and its tag with a tab or spaces between them", _shown(line))
    return cells[0], cells[1]


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= EXCERPT else f"{cell[:EXCERPT]}...")


def _bad(path: Path, line: int, expected: str, found: str) -> RecipeError:
    return RecipeError(f"{path}, line {line}: expected {expected}, found {found}")
