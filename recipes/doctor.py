"""Do the installed versions fit together, and what can TensorFlow train on?"""

import dataclasses
import importlib.metadata
import platform
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from recipes.versions import DISTRIBUTION, installed, requirements, version


@dataclasses.dataclass(frozen=True)
class Check:
    """One requirement, held against what is installed.

    Attributes:
        owner: Who requires it.
        name: The distribution.
        wanted: The versions that it accepts; for seqzoo, the tested ones.
        found: What is installed; None if it is missing.
        fits: Whether that is one of them.
    """

    owner: str
    name: str
    wanted: str
    found: str | None
    fits: bool

    def __str__(self) -> str:
        found = f"{self.name} {self.found} is installed" if self.found else f"{self.name} is missing"
        return f"{found}, but {self.owner} needs {self.name}{self.wanted}: pip install '{self.name}{self.wanted}'"


def check_versions() -> list[Check]:
    """Holds the installed versions against the tested set.

    Returns:
        One check for each direct dependency, first; then one for each requirement of a dependency, however deep, that
        is not met: a clash that pip left behind.
    """
    direct = [_check(DISTRIBUTION, Requirement(line)) for line in requirements()]
    known = {(check.owner, check.name) for check in direct}
    deep = [check for check in _walk([check.name for check in direct]) if not check.fits]
    return direct + [check for check in deep if (check.owner, check.name) not in known]


def python_fits() -> bool:
    """True if this Python is one that was tested."""
    from packaging.specifiers import SpecifierSet

    try:
        wanted = importlib.metadata.metadata(DISTRIBUTION)["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:
        return True
    return platform.python_version() in SpecifierSet(wanted or "")


def summary() -> dict[str, str]:
    """Names this installation: seqzoo's version, Python's, the machine."""
    return {"seqzoo": version(), "python": platform.python_version(), "machine": platform.platform(terse=True)}


def _walk(names: list[str]) -> Iterator[Check]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen or installed(name) is None:
            continue
        seen.add(name)
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            # What an extra would need is nobody's need here.
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                yield _check(name, requirement)
                waiting.append(requirement.name)


def _check(owner: str, requirement: Requirement) -> Check:
    found = installed(requirement.name)
    fits = found is not None and requirement.specifier.contains(found, prereleases=True)
    return Check(owner, requirement.name, str(requirement.specifier), found, fits)
