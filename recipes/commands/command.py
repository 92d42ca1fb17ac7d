"""What all words of the command share."""

import abc
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

WRAP_FROM = 28
"""Cells up to this length stand on one line."""
PIPE_WIDTH = 160
"""A file or a pipe has no width of its own."""
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""A flag that is off unless it is given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(abc.ABC):
    """A word of the command with its options; its docstring is its help."""

    json: Switch = False
    """Print the result as JSON, for scripts."""
    verbose: Switch = False
    """Show TensorFlow's own messages, and where an error came from."""
    words: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """What the user typed, as `parse` was given it."""

    def is_typed(self, field: str) -> bool:
        """Whether the user gave an option, be it with its default's value.

        Args:
            field: Its name, as a field.
        """
        options = {f"--{field}".replace("_", "-"), f"--no-{field}".replace("_", "-")}
        return any(word.partition("=")[0].replace("_", "-") in options for word in self.words)

    @abc.abstractmethod
    def execute(self) -> int:
        """Does the work.

        Returns:
            The exit code: 0 fine, 1 the work failed.
        """


def print_json(content: Any) -> None:
    """Prints a result for scripts.

    Args:
        content: Dictionaries, lists, numbers, texts.
    """
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Prints a table for people.

    Args:
        columns: The headings.
        rows: One sequence of cells a row, numbers to four digits.
        title: Stands above it.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    cells = [[_readable(cell) for cell in row] for row in rows]
    for index, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], (int, float)) or row[index] is None for row in rows)
        short = all(len(row[index]) <= WRAP_FROM for row in cells)
        table.add_column(name, justify="right" if numbers else "left", no_wrap=short, overflow="fold")
    for row in cells:
        # Text, not markup: a name with brackets prints as it is.
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)


def _readable(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    if isinstance(cell, (list, tuple)):
        return " ".join(map(_readable, cell))
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
