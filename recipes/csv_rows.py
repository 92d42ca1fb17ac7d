"""The rows of a CSV file: what separates its cells, what its quotes hold, and in which line each row starts."""

import contextlib
import csv
import io
import itertools
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from recipes.errors import RecipeError
from recipes.user_files import bad, decoded, shown

DELIMITERS = (",", ";", "\t", "|")
SEPARATORS = "separated by comma, semicolon, tab or |"
"""The same in words, for errors."""
SAMPLE = 20
"""So many rows choose the separator."""
_EXCEL = re.compile(r'"?sep=([^"]?)"?', re.IGNORECASE)
_QUOTED = re.compile(r' *"((?:[^"]|"")*)" *')


def read_rows(path: Path, wanted: Collection[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Reads the rows of a file, the header first.

    The separator is the one that cuts most of the first rows into as many cells as the header, two at least; where two
    do, the one whose header has more of the wanted columns. Excel's first line `sep=;` names it, too. Quoted cells may
    hold separators and line breaks; but where every line of a file with tabs has as many tabs, each is a row, whatever
    quotes are in it. Lines without anything are passed over, and so are rows of empty cells at the end.

    Args:
        path: The file, UTF-8.
        wanted: Names that the header is likely to have.

    Yields:
        The line where the row starts, from 1, and its cells.

    Raises:
        RecipeError: The file cannot be read, or its quotes make no sense.
    """
    lines = list(io.StringIO(decoded(path), newline=""))
    excel = _EXCEL.fullmatch(lines[0].strip("\r\n")) if lines else None
    if excel:
        if excel[1] not in DELIMITERS:
            raise bad(path, 1, f"cells {SEPARATORS}", shown(excel[0]))
        lines[0] = "\n"
    if not any(map(str.strip, lines)):
        raise RecipeError(f"{path}: expected a header and rows, found an empty file")
    delimiter = excel[1] if excel else _delimiter(lines, wanted)
    rows = _tab_rows(lines) if _has_a_row_a_line(lines, delimiter) else _rows(path, lines, delimiter)
    kept = []  # Rows of empty cells, until one follows that says something.
    for number, row in rows:
        kept.append((number, row))
        if len(row) == 1 or any(map(str.strip, row)):
            yield from kept
            kept = []


def _rows(path: Path, lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    start = width = 0
    with _cells_of_any_length():
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                problem = "a quote that is never closed" if "unexpected end" in str(error) else str(error)
                raise bad(path, start + 1, "cells, quoted as CSV is", problem) from error
            if row is None:
                return
            raw = lines[start : reader.line_num]
            if len(row) > 1 or (row and raw[0].strip()):
                width = width or len(row)
                # Rows by themselves, all of them: the quote is a sign of the text, not the start of a quoted cell.
                if delimiter == "\t" and len(raw) > 1 and all(line.count("\t") == width - 1 for line in raw):
                    raise bad(path, start + 1, "cells, quoted as CSV is", f"a quote over {len(raw)} rows")
                yield start + 1, row
            start = reader.line_num


def _has_a_row_a_line(lines: Sequence[str], delimiter: str) -> bool:
    return delimiter == "\t" and len({line.count("\t") for line in lines if not _is_blank(line)}) == 1


def _tab_rows(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=1):
        if not _is_blank(line):
            yield number, [_unquoted(cell) for cell in line.rstrip("\r\n").split("\t")]


def _is_blank(line: str) -> bool:
    return not line.strip() and "\t" not in line


def _unquoted(cell: str) -> str:
    quoted = _QUOTED.fullmatch(cell)
    return quoted[1].replace('""', '"') if quoted else cell


def _delimiter(lines: Sequence[str], wanted: Collection[str]) -> str:
    def fit(delimiter: str) -> tuple[int, int, int]:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        found = (row for _, row in _tab_rows(lines)) if _has_a_row_a_line(lines, delimiter) else reader
        rows = list(itertools.islice((row for row in found if any(map(str.strip, row))), SAMPLE))
        cells = len(rows[0]) if rows else 0
        alike = sum(len(row) == cells for row in rows) if cells > 1 else 0
        return alike, len({name.strip() for name in rows[0]} & set(wanted)) if rows else 0, cells

    with _cells_of_any_length():
        return max(DELIMITERS, key=fit)


@contextlib.contextmanager
def _cells_of_any_length() -> Iterator[None]:
    # A cell may be as long as the file; the csv module's own limit is 131,072 characters.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
