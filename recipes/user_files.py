"""A file of the user's: its text, perhaps compressed (`.gz`), and errors that name file and line."""

import difflib
import gzip
import zlib
from pathlib import Path

from recipes.errors import RecipeError

EXCERPT = 40
"""Characters of a bad cell that an error shows."""


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
        raise bad(path, line, "text in UTF-8", f"byte 0x{error.object[error.start]:02x}") from error


def shown(cell: str) -> str:
    """A cell as an error shows it: in quotes, and not too long."""
    return repr(cell if len(cell) <= EXCERPT else f"{cell[:EXCERPT]}...")


def bad(path: Path, line: int, expected: str, found: str) -> RecipeError:
    """The error for what is wrong in a line."""
    return RecipeError(f"{path}, line {line}: expected {expected}, found {found}")
