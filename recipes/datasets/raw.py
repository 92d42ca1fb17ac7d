"""The raw files of a data set, wherever they lie: under their own names, compressed, or in an archive."""

import dataclasses
import fnmatch
import gzip
import hashlib
import io
import itertools
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from recipes.errors import RecipeError, first_line
from recipes.user_files import near_file

ARCHIVES = ("*.tar", "*.tar.gz", "*.tgz", "*.tar.xz", "*.tar.bz2", "*.zip")
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class Checksum:
    """What a file must be.

    Attributes:
        size: Bytes, decompressed; of a pattern, of all its files together.
        sha256: Of the decompressed bytes; of a pattern, see `digest`.
    """

    size: int
    sha256: str


def digest(files: Iterable[tuple[str, bytes]]) -> Checksum:
    """The checksum of several files, which does not depend on how they are packed.

    Args:
        files: (base name, content), in the order of the names.

    Returns:
        The joint size and the sha256 over name, zero byte, content, for one file after the other.
    """
    size, joint = 0, hashlib.sha256()
    for name, content in files:
        joint.update(name.encode() + b"\0" + content)
        size += len(content)
    return Checksum(size, joint.hexdigest())


class Raw:
    """A data set's raw files.

    A name may be a pattern (`recordings/*.wav`), which stands for all files that match. Every file that is read is
    remembered, so that `verify` can hold it against its checksum.
    """

    def __init__(self, dataset: str, paths: Mapping[str, Path]) -> None:
        """Takes what `find` gives.

        Args:
            dataset: For error texts.
            paths: The set's name of a file -> where it lies: itself, compressed, an archive, of a pattern a folder.
        """
        self.dataset = dataset
        self.paths = dict(paths)
        # The checksum of each file that was read.
        self.seen: dict[str, Checksum] = {}

    def content(self, name: str) -> bytes:
        """Reads a file.

        Args:
            name: As the data set calls it.

        Returns:
            The decompressed bytes.

        Raises:
            RecipeError: It cannot be read or is damaged.
        """
        path = self.paths[name]
        try:
            if is_archive(path):
                content = _member(path, name)
            else:
                content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except DAMAGED as error:
            raise RecipeError(f"{self.dataset}: {self.place(name)} is damaged: {first_line(error)}") from error
        self.seen[name] = Checksum(len(content), hashlib.sha256(content).hexdigest())
        return content

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """Reads a text.

        Args:
            name: As the data set calls it.

        Yields:
            The line's number, from 1, and its text without the line's end.

        Raises:
            RecipeError: It cannot be read, or a line is not UTF-8 (names it).
        """
        lines = self.content(name).removeprefix(b"\xef\xbb\xbf").split(b"\n")
        # Not splitlines: text may hold the other characters at which Python breaks lines.
        for number, line in enumerate(lines[:-1] if not lines[-1] else lines, start=1):
            try:
                yield number, line.removesuffix(b"\r").decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
                raise self.error(name, number, "text in UTF-8", found) from error

    def members(self, pattern: str) -> list[tuple[str, bytes]]:
        """Reads all files of a pattern.

        Args:
            pattern: As the data set calls it.

        Returns:
            (base name, content), in the order of the names.

        Raises:
            RecipeError: They cannot be read or the archive is damaged.
        """
        path = self.paths[pattern]
        try:
            if path.is_dir():
                files = [(file.name, file.read_bytes()) for file in path.glob(PurePosixPath(pattern).name)]
            else:
                files = [(PurePosixPath(name).name, content) for name, content in _members(path, pattern)]
        except DAMAGED as error:
            raise RecipeError(f"{self.dataset}: {path} is damaged: {first_line(error)}") from error
        files.sort()
        self.seen[pattern] = digest(files)
        return files

    def error(self, name: str, line: int | None, expected: str, found: str) -> RecipeError:
        """Words what is wrong with a file.

        Args:
            name: The file, as the data set calls it.
            line: The line's number; None for the file as a whole.
            expected: What should stand there.
            found: What stands there.

        Returns:
            The error, to be raised.
        """
        where = self.place(name) if line is None else f"{self.place(name)}, line {line}"
        return RecipeError(f"{self.dataset}: {where}: expected {expected}, found {found}")

    def place(self, name: str) -> str:
        """Where a file lies, for error texts.

        Args:
            name: The file, as the data set calls it.

        Returns:
            Its path; of a file in an archive, the archive's and the file's own.
        """
        path = self.paths[name]
        if path.is_dir():
            return str(path)
        return f"{path} ({name})" if is_archive(path) else str(path)

    def verify(self, name: str, allowed: Iterable[Checksum]) -> None:
        """Holds a file that was read against its checksum.

        Args:
            name: The file, as the data set calls it.
            allowed: The checksums that it may have; any one of them will do.

        Raises:
            RecipeError: It has another.
        """
        allowed, seen = list(allowed), self.seen[name]
        if seen not in allowed:
            raise RecipeError(
                f"{self.dataset}: {self.place(name)} is not the published file (cut off or changed): "
                f"wrong checksum: expected {allowed[0].size:,} bytes with sha256 {allowed[0].sha256[:16]}..., "
                f"found {seen.size:,} bytes with sha256 {seen.sha256[:16]}..."
            )


def find(dataset: str, names: Iterable[str], folder: Path, known: Iterable[str] = ()) -> dict[str, Path]:
    """Looks for a data set's files in the user's folder.

    Each may lie there as it is called, without its subfolder, with `.gz` behind it, or in an archive. What else lies
    there may be damaged.

    Args:
        dataset: For error texts.
        names: The files' names or patterns.
        folder: The user's `--data-dir`.
        known: The names of all of the set's files, which are not suggested for each other.

    Returns:
        Name -> where it lies.

    Raises:
        RecipeError: The folder or a file is missing; names what is near, or the archive that could not be opened.
    """
    if not folder.is_dir():
        raise RecipeError(f"{dataset}: there is no folder {folder}")
    names = list(names)
    bases = [PurePosixPath(name).name for name in names]
    archives = sorted({path for pattern in ARCHIVES for path in folder.glob(pattern)})
    damaged: dict[Path, str] = {}
    found = {}
    for name, base in zip(names, bases, strict=True):
        # Without its subfolder a file is known only if no other has the same name.
        spellings = [name, base] if bases.count(base) == 1 else [name]
        places = [folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz")]
        if "*" in name:
            places = [place.parent for place in places[::2] if any(place.parent.glob(base))]
        inside = (path for path in archives if any(_matches(member, name) for member in _names(path, damaged)))
        place = next((place for place in itertools.chain(places, inside) if place.exists()), None)
        if place is None:
            for path, reason in damaged.items():
                raise RecipeError(f"{dataset}: {name} is missing in {folder}, and {path} is damaged: {reason}")
            there = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
            hint = near_file(name, there[:1000], {*names, *known}) if there else "; the folder is empty"
            raise RecipeError(f"{dataset}: {name} is missing in {folder}{hint}")
        found[name] = place
    return found


def is_archive(path: Path) -> bool:
    """Whether a path holds several files.

    Args:
        path: A file.

    Returns:
        True for tar, in any compression, and zip.
    """
    return any(fnmatch.fnmatchcase(path.name, pattern) for pattern in ARCHIVES)


def _matches(member: str, name: str) -> bool:
    return fnmatch.fnmatchcase(f"/{member}", f"*/{name}") if "*" in name else f"/{member}".endswith(f"/{name}")


def _names(path: Path, damaged: dict[Path, str]) -> list[str]:
    """What an archive holds; of a damaged one nothing, and why is put down."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return archive.namelist()
        with tarfile.open(path) as archive:
            return archive.getnames()
    except DAMAGED as error:
        damaged[path] = first_line(error)
        return []


def _members(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    # Nothing is unpacked to the disk: a member's own path has no power over where files go.
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir() and _matches(entry.filename, name):
                    yield entry.filename, archive.read(entry)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and _matches(member.name, name):
                stream = archive.extractfile(member) or io.BytesIO()
                yield member.name, stream.read()


def _member(path: Path, name: str) -> bytes:
    return next(content for _, content in _members(path, name))
