"""A file of the user's: its text, perhaps compressed (`.gz`), and errors that name file and line."""

import difflib
import gzip
import re
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from recipes.errors import RecipeError

EXCERPT = 40
"""Characters of a bad cell that an error shows."""
NEAREST = 5
"""So many files with a name like the missing one are looked at."""
_PART = re.compile(r"(?<![a-z])(?:(train)|(e?val|dev)|(test))(?:ing|id|idation|uation)?(?:set|data)?(?![a-z])")


def decoded(path: Path) -> str:
    """Reads all of a file.

    Args:
        path: The file, UTF-8.

    Returns:
        Its text, without a byte order mark.

    Raises:
        RecipeError: It cannot be read; names the near file, or the line that is not UTF-8.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError:
        there = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RecipeError(f"there is no file {path}{near_file(path.name, there)}") from None
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
        raise bad(path, line, "text in UTF-8", f"byte 0x{error.object[error.start]:02x}") from error


def near_file(name: str, there: Iterable[str], known: Collection[str] = ()) -> str:
    """Finds the file that may have been meant, but none that is another part of the data: to test is not to train.

    Args:
        name: The file that is missing.
        there: The files that are there.
        known: Names of files that are not to be taken for each other.

    Returns:
        `"; did you mean 'train.csv'?"`; empty where nothing is near.
    """
    bases = {PurePosixPath(each).name for each in (name, *known)}
    for near in difflib.get_close_matches(name, list(there), n=NEAREST):
        base = PurePosixPath(near).name
        meant = difflib.get_close_matches(base, bases, n=1, cutoff=0)[0]
        if meant == PurePosixPath(name).name and not _are_other_parts(base, name):
            return f"; did you mean {near!r}?"
    return ""


def shown(cell: str) -> str:
    """A cell as an error shows it: in quotes, and not too long."""
    return repr(cell if len(cell) <= EXCERPT else f"{cell[:EXCERPT]}...")


def bad(path: Path, line: int, expected: str, found: str) -> RecipeError:
    """The error for what is wrong in a line."""
    return RecipeError(f"{path}, line {line}: expected {expected}, found {found}")


def _are_other_parts(first: str, second: str) -> bool:
    """Whether two files' names speak of different parts of the data: training, validation, test."""
    parts = [{found.lastindex for found in _PART.finditer(name.lower())} for name in (first, second)]
    return all(parts) and parts[0] != parts[1]
