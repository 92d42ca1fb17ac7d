"""Time series in CSV files with a header that is known."""

import math
from collections.abc import Sequence

import numpy as np

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example

Columns = dict[str, list[str] | list[float]]


def read_columns(raw: Raw, name: str, header: Sequence[str], *, time: str | None, gaps: bool = False) -> Columns:
    """Reads a CSV file column by column.

    Args:
        raw: The files.
        name: The file's name.
        header: The columns that it must have, in their order.
        time: The column whose cells are texts; all others are numbers.
        gaps: Whether an empty cell is a missing number, NaN, or an error.

    Returns:
        Column -> cells.

    Raises:
        RecipeError: The header is another, a row is too short or too long, a cell is no number; names the line.
    """
    columns: Columns = {column: [] for column in header}
    for number, line in raw.lines(name):
        cells = [cell.strip().strip('"') for cell in line.split(",")]
        if number == 1:
            if cells != list(header):
                raise raw.error(name, 1, f"the header {','.join(header)}", repr(line[:80]))
            continue
        if len(cells) != len(header):
            raise raw.error(name, number, f"{len(header)} cells", f"{len(cells)} in {line[:80]!r}")
        for column, cell in zip(header, cells, strict=True):
            if column == time and not cell:
                raise raw.error(name, number, f"a time in column {column!r}", "an empty cell")
            value = cell if column == time else _number(cell, gaps)
            if value is None:
                raise raw.error(name, number, f"a number in column {column!r}", repr(cell))
            columns[column].append(value)  # type: ignore[arg-type]
    return columns


def cut(columns: Columns, ends: dict[str, int], time: str | None) -> dict[str, list[Example]]:
    """Cuts a series into parts that follow each other.

    Args:
        columns: As `read_columns` gives them.
        ends: Split -> the row at which it ends; the first begins at 0.
        time: The column of texts.

    Returns:
        Split -> one example: column -> texts or a float32 array.
    """
    parts, start = {}, 0
    for split, end in ends.items():
        parts[split] = [
            {
                name: cells[start:end] if name == time else np.asarray(cells[start:end], dtype=np.float32)
                for name, cells in columns.items()
            }
        ]
        start = end
    return parts


def _number(cell: str, gaps: bool) -> float | None:
    if not cell:
        return math.nan if gaps else None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
