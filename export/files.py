"""Files that are whole or not there: written beside their place, then renamed into it."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.errors import ExportError

_PARTIAL = ".partial-"


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` to write in, on the same file system; gone afterwards.

    Raises:
        ExportError: The folder cannot be made or written to, or the disk is full; or what was run inside failed on
            another file, which is named.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    except OSError as error:
        raise ExportError(f"cannot write into {str(folder)!r}: {error.strerror or error}") from error
    try:
        yield room
    except OSError as error:
        named = error.filename  # of a full disk's error it is None; a file elsewhere is no fault of the folder
        if isinstance(named, (str, os.PathLike)) and not Path(named).absolute().is_relative_to(folder.absolute()):
            raise ExportError(f"{str(named)!r}: {error.strerror or error}") from error
        raise ExportError(f"cannot write into {str(folder)!r}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def put_in_place(written: Path, target: Path) -> None:
    """Renames a file or folder to its place; what was there before is gone only when the new one stands."""
    if written.is_dir() and target.is_dir():
        aside = written.with_name(f"{written.name}.old")
        os.replace(target, aside)
    os.replace(written, target)


def remove(path: Path) -> None:
    """Removes a file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically."""
    with scratch(path.parent) as room:
        written = room / path.name
        written.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        put_in_place(written, path)
