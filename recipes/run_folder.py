"""A run's folder: what stands where, and who may write into it."""

import dataclasses
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.errors import RecipeError, UsageError
from recipes.fields import near_match
from recipes.files import PARTIAL, clear_partials, naming, read_json, write_json
from recipes.recipe import RECIPES, RecipeConfig, configure, recipe_name
from recipes.resuming import difference, file_digest
from recipes.settings import content_of, preset_fields, recipe_of, refuse_idle
from recipes.versions import git_commit, versions


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The places in a run's folder.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Every field, the versions, the seed, the git commit."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """A line for each epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """What a resumed run starts from."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model, with the weights of its best epoch."""
        return self.path / "model.keras"

    @property
    def exports(self) -> Path:
        """The artifacts, each verified, with their manifest."""
        return self.path / "exports"

    @property
    def results(self) -> Path:
        """What came out, for scripts."""
        return self.path / "results.json"

    @property
    def report(self) -> Path:
        """What came out, for people."""
        return self.path / "report.html"


def default_folder(name: str) -> Path:
    """Where a recipe's run goes unless the user says otherwise."""
    return Path("runs") / name


def begin(
    name: str,
    path: Path,
    overrides: Mapping[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    preset: str | None = None,
) -> RecipeConfig:
    """Makes a run's folder ready, or finds out how to go on in it.

    Args:
        name: The recipe's name.
        path: The folder.
        overrides: The fields that the user gave.
        resume: Go on with the run in the folder; start it where a kill came before it had begun.
        overwrite: Throw away the run in the folder.
        preset: The recipe's settings that the fields start from.

    Returns:
        The recipe, its settings those of the folder where it is resumed.

    Raises:
        UsageError: Both switches, an unknown name or a bad field.
        RecipeError: The folder is there and no switch is given, it is no run's, or its settings differ.
    """
    if resume and overwrite:
        raise UsageError("--resume goes on with a run, --overwrite throws it away: give one of them")
    recipe = configured(name, overrides, preset)
    folder = RunFolder(path)
    _admit(folder, resume=resume, overwrite=overwrite)
    if resume and folder.config.exists():
        return _continue(folder, name, {**preset_fields(name, preset), **overrides})
    refuse_idle(recipe, overrides)
    if overwrite:
        if recipe.own_file is not None and folder.config.exists():
            # A broken line is found before the old run is gone.
            recipe.load_data()
        _clear(folder)
    _start(folder, recipe)
    return recipe


def configured(name: str, overrides: Mapping[str, Any], preset: str | None) -> RecipeConfig:
    """Makes a recipe with the settings that the user gave.

    Args:
        name: The recipe's name.
        overrides: The fields that the user gave.
        preset: The recipe's settings that the fields start from.

    Returns:
        The recipe.

    Raises:
        UsageError: An unknown name or a bad field.
    """
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}{near_match(name, RECIPES)}")
    return configure(RECIPES[name](), {**preset_fields(name, preset), **overrides})


def stored_recipe(path: Path) -> RecipeConfig:
    """Reads which recipe a folder holds, with which settings.

    Args:
        path: A run's folder.

    Returns:
        The recipe.

    Raises:
        RecipeError: It is no run's folder, damaged, or written by another version.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise RecipeError(f"{path} is no run's folder: it has no config.json")
    content = read_json(folder.config)
    try:
        return recipe_of(content)
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise RecipeError(f"{folder.config} was written by another version: {error}") from error


def command_line(recipe: RecipeConfig, path: Path) -> str:
    """The command that makes a run, the defaults that nobody gave left out.

    Args:
        recipe: With its settings.
        path: The run's folder.

    Returns:
        Such as `"seqzoo run digits --epochs 5 --units 64 64"`.
    """
    name = recipe_name(type(recipe))
    given = {
        field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe) if field.name in recipe.given
    }
    place = ["--out", str(path)] if path != default_folder(name) else []
    return shlex.join(["seqzoo", "run", name, *option_words(given), *place])


def option_words(fields: Mapping[str, Any]) -> list[str]:
    """Says fields as the command line takes them.

    Args:
        fields: Field name -> value.

    Returns:
        Such as `["--epochs", "5", "--units", "64", "64", "--no-bidirectional"]`.
    """
    words: list[str] = []
    for name, value in fields.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *map(str, value if isinstance(value, tuple) else (value,))]
    return words


def _admit(folder: RunFolder, *, resume: bool, overwrite: bool) -> None:
    path = folder.path
    with naming("read", path):
        if not path.exists():
            return
        if not path.is_dir():
            raise RecipeError(f"{path} is a file; name a folder with --out")
        if not (resume or overwrite):
            raise RecipeError(f"{path} exists; --resume goes on with its run, --overwrite throws it away")
        strangers = [entry.name for entry in path.iterdir() if not entry.name.startswith(PARTIAL)]
    if strangers and not folder.config.exists():
        raise RecipeError(f"{path} is no run's folder (it holds {sorted(strangers)[0]}, no config.json): left alone")


def _continue(folder: RunFolder, name: str, overrides: Mapping[str, Any]) -> RecipeConfig:
    recipe = stored_recipe(folder.path)
    if recipe_name(type(recipe)) != name:
        raise RecipeError(f"{folder.path} holds a run of {recipe_name(type(recipe))!r}, not of {name!r}")
    wanted, digest = configure(recipe, overrides), read_json(folder.config).get("file_sha256")
    field, other = difference(recipe, wanted, digest)
    if field:
        raise RecipeError(
            f"the run in {folder.path} has {other}: resume it without --{field.replace('_', '-')}, or start again with "
            "--overwrite"
        )
    now = file_digest(wanted)
    if now is not None and now != digest:
        raise RecipeError(
            f"{wanted.own_file} has changed since the run in {folder.path} began: start again with --overwrite"
        )
    clear_partials(folder.path)
    with naming("write", folder.checkpoints):
        folder.checkpoints.mkdir(exist_ok=True)
    # Its file where it was found this time.
    return wanted


def _clear(folder: RunFolder) -> None:
    with naming("clear", folder.path):
        entries = list(folder.path.iterdir()) if folder.path.exists() else []
        # config.json goes last: until then a kill leaves what --resume and --overwrite know as a run's folder.
        for entry in sorted(entries, key=lambda entry: entry == folder.config):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _start(folder: RunFolder, recipe: RecipeConfig) -> None:
    with naming("write", folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
    clear_partials(folder.path)
    write_json(
        folder.config,
        {
            "command": command_line(recipe, folder.path),
            "seed": recipe.seed,
            **content_of(recipe),
            "file_sha256": file_digest(recipe),
            "versions": versions(),
            "git_commit": git_commit(),
        },
    )
    with naming("write", folder.checkpoints):
        folder.checkpoints.mkdir(exist_ok=True)
