"""What has happened in a search, in the order in which it happened: the one truth that a kill can't hurt."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from recipes.errors import RecipeError
from recipes.files import naming


@dataclasses.dataclass(frozen=True)
class Event:
    """A line of the journal.

    Attributes:
        kind: `start` (a worker got a trial), `idle` (there was none to give yet), `end`, or `lost` (its worker died).
        worker: Who asked.
        trial: Number of the trial, from 0; None for `idle`.
        content: Of a start the values, of an end the outcome.
    """

    kind: str
    worker: str
    trial: int | None = None
    content: dict[str, Any] = dataclasses.field(default_factory=dict)


class Journal:
    """A file of events, one a line. A line is on the disk before anything acts on it. Reading changes nothing."""

    def __init__(self, path: Path) -> None:
        """Opens the journal, a new one where there is none.

        Args:
            path: The file.

        Raises:
            RecipeError: It can't be read, or holds something else.
        """
        self.path = path
        with naming("read", path):
            content = path.read_bytes() if path.exists() else b""
        # A kill in the middle of a line leaves no newline at its end: that event has not happened.
        whole = content[: content.rfind(b"\n") + 1]
        self.events = [self._read(line, number) for number, line in enumerate(whole.splitlines(), start=1)]
        self._end = len(whole)

    def append(self, event: Event) -> None:
        """Writes an event down.

        Args:
            event: What happened.

        Raises:
            RecipeError: It could not be written.
        """
        line = json.dumps(dataclasses.asdict(event), ensure_ascii=False) + "\n"
        with naming("write", self.path), self.path.open("ab") as file:
            file.truncate(self._end)
            self._end += file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.events.append(event)

    def _read(self, line: bytes, number: int) -> Event:
        try:
            return Event(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise RecipeError(f"{self.path}, line {number}, is no event of a search: start again elsewhere") from error
