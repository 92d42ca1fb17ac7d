"""Writing such that a kill at any moment leaves the old file or the new one, never half."""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from recipes.errors import RecipeError, first_line

PARTIAL = ".partial-"
"""What the name of an unfinished file begins with; a resumed run clears away those that a kill left behind."""


@contextlib.contextmanager
def naming(action: str, path: Path) -> Iterator[None]:
    """Turns the operating system's error into one line that says what could not be done.

    Args:
        action: Such as `"write"`.
        path: The file or folder that the user knows.

    Raises:
        RecipeError: Disk full, read-only, no permission, a file where a folder should be.
    """
    try:
        yield
    except OSError as error:
        raise RecipeError(f"cannot {action} {path}: {error.strerror or first_line(error)}") from error


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file beside its place, makes sure that it is on the disk, then moves it there.

    Args:
        path: Where the file goes.
        write: Is given the temporary path, of the same suffix, and fills it.

    Raises:
        RecipeError: It could not be written; nothing is left behind.
    """
    with naming("write", path):
        handle, name = tempfile.mkstemp(prefix=PARTIAL, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        partial = Path(name)
        try:
            write(partial)
            # mkstemp makes private files; a run's are as readable as the user's others.
            partial.chmod(0o666 & ~_umask())
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON that people read too.

    Args:
        path: Where the file goes.
        content: Dictionaries, lists, numbers, texts.

    Raises:
        RecipeError: It could not be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda partial: _write_text(partial, text))


def write_text(path: Path, text: str) -> None:
    """Writes text in UTF-8.

    Args:
        path: Where the file goes.
        text: All of it.

    Raises:
        RecipeError: It could not be written.
    """
    write_atomically(path, lambda partial: _write_text(partial, text))


def read_json(path: Path) -> Any:
    """Reads JSON.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        RecipeError: It is missing, unreadable, or not JSON.
    """
    with naming("read", path):
        text = path.read_bytes()
    try:
        return json.loads(text)
    except ValueError as error:
        raise RecipeError(f"{path} is damaged: {first_line(error)}") from error


def missing_folders(folder: Path) -> list[Path]:
    """Says which folders must be made for one to be there: itself and those around it, the innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Removes folders in which nothing is.

    Args:
        folders: The innermost first; those that are gone or hold something are left alone.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def clear_partials(folder: Path) -> None:
    """Removes what a kill left unfinished.

    Args:
        folder: Is searched with all below it.

    Raises:
        RecipeError: A leftover could not be removed.
    """
    with naming("clear", folder):
        for leftover in sorted(folder.rglob(f"{PARTIAL}*")):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def sole_use(folder: Path, *, wait: bool) -> Iterator[None]:
    """Keeps other processes out of a folder; the lock ends with the process, however that ends.

    Args:
        folder: It exists.
        wait: Wait until another process has done with it.

    Raises:
        RecipeError: Another process uses it, and there was no wait.
    """
    with naming("lock", folder):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise RecipeError(f"{folder} is in use by another process") from error
        yield
    finally:
        os.close(descriptor)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
