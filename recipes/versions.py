"""Which versions are installed, and which set was tested: the project's own metadata, read, never repeated."""

import importlib.metadata
import os
import platform
import subprocess
import tomllib
from pathlib import Path

DISTRIBUTION = "seqzoo"
ROOT = Path(__file__).resolve().parent.parent


def version() -> str:
    """The version of seqzoo, from its installed metadata, or from the checkout that it runs in."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return str(_project()["version"])


def requirements() -> list[str]:
    """The tested set.

    Returns:
        Requirements such as `"keras<3.16,>=3.15"`, those of the extras left out.
    """
    try:
        stored = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        stored = list(_project()["dependencies"])
    return [line for line in stored if "extra ==" not in line]


def installed(distribution: str) -> str | None:
    """The installed version of a distribution; None if it is not there."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """What a run's `config.json` says of its surroundings.

    Returns:
        Name -> version: Python, seqzoo, each direct dependency.
    """
    from packaging.requirements import Requirement

    names = [Requirement(line).name for line in requirements()]
    found = {name: installed(name) or "missing" for name in names}
    return {"python": platform.python_version(), "seqzoo": version()} | found


def git_commit() -> str | None:
    """The commit of the code, with `-dirty` where files differ from it.

    Returns:
        The commit of the checkout that holds this code, else of the one that the command was run in; None outside of
        any, and where git is not installed.
    """
    place = ROOT if (ROOT / ".git").exists() else Path.cwd()
    command = ["git", "-C", str(place), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # Without optional locks git does not touch the index that a person may be working with.
        environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
