"""What a run says while it works, on standard error: standard output is for results."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bar(Protocol):
    """How training shows where it is."""

    def advance(self) -> None:
        """One more step is done."""

    def epoch(self, number: int, of: int, row: Mapping[str, float]) -> None:
        """An epoch is done, with these metrics."""


class Console:
    """Says things, in colour and with a moving bar on a terminal, in plain lines elsewhere, or not at all."""

    def __init__(self, quiet: bool = False) -> None:
        self.rich = RichConsole(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Prints a line.

        Args:
            text: Taken as it is: brackets are no markup.
        """
        self.rich.print(text, markup=False)

    @contextlib.contextmanager
    def progress(self, total: int, done: int) -> Iterator[Bar]:
        """Shows training's progress: a bar on a terminal, a line an epoch elsewhere.

        Args:
            total: Steps of the whole training.
            done: Steps before this start.

        Yields:
            What is told of each step and epoch.
        """
        if not self.rich.is_terminal:
            yield _Lines(self)
            return
        columns = [TextColumn("training"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn()]
        with Progress(*columns, console=self.rich) as progress:
            yield _Moving(progress, progress.add_task("training", total=total, completed=done, state=""))


class _Moving:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self) -> None:
        self._progress.advance(self._task)

    def epoch(self, number: int, of: int, row: Mapping[str, float]) -> None:
        self._progress.update(self._task, state=f"epoch {number}/{of} · {_metrics(row)}")


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def advance(self) -> None:
        pass

    def epoch(self, number: int, of: int, row: Mapping[str, float]) -> None:
        self._console.say(f"epoch {number}/{of} · {_metrics(row)}")


def _metrics(row: Mapping[str, float]) -> str:
    return " · ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch")
