"""`seqzoo run RECIPE`: from a name to a folder with verified artifacts."""

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

import recipes
from recipes.commands.command import Command, Switch, print_json, print_table
from recipes.commands.parsing import parse
from recipes.errors import UsageError
from recipes.fields import near_match
from recipes.recipe import RECIPES, configure, preset_fields
from recipes.run_folder import default_folder, stored_recipe

USAGE = """\
usage: seqzoo run RECIPE [options]

Trains a recipe, exports the model to SavedModel, LiteRT and ONNX, verifies and measures each file, writes the report.

recipes (seqzoo run RECIPE --help names the options of one):
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Command):
    """Train a recipe, export the model to every format, verify and measure each file, write the report page."""

    out: Path | None = None
    """The run's folder; runs/RECIPE unless given."""
    resume: Switch = False
    """Go on with the run in the folder, from its last complete epoch."""
    overwrite: Switch = False
    """Throw away the run in the folder."""
    preset: str | None = None
    """Settings that go together, from which the options start; `full` where a recipe has one wants a GPU."""

    def execute(self) -> int:
        """Runs the recipe and prints what came out."""
        recipe: Any = self.recipe  # type: ignore[attr-defined]  # the field that `_command_of` adds
        name = next(name for name, known in RECIPES.items() if known is type(recipe))
        start = _start(name, self)
        given = {
            field.name: getattr(recipe, field.name)
            for field in dataclasses.fields(recipe)
            if getattr(recipe, field.name) != getattr(start, field.name)
        }
        done = recipes.run(
            name, out=self.out, resume=self.resume, overwrite=self.overwrite, preset=self.preset, **given
        )
        if self.json:
            print_json({"folder": str(done.folder)} | done.results)
        else:
            print_artifacts(done.results["artifacts"])
        return 0


def run_command(words: Sequence[str]) -> Command | None:
    """Reads the options of `seqzoo run`.

    Args:
        words: What the user typed after `run`.

    Returns:
        The command; None where only the help was asked for, which is printed.

    Raises:
        UsageError: No recipe, an unknown one, or a bad option.
    """
    if words and words[0] in ("-h", "--help"):
        width = max(map(len, RECIPES))
        print(USAGE + "\n".join(f"  {name:<{width}}  {summary(recipe)}" for name, recipe in sorted(RECIPES.items())))
        return None
    if not words or words[0].startswith("-"):
        raise UsageError(f"which recipe? There are {', '.join(sorted(RECIPES))} (seqzoo run --help says more)")
    name, options = words[0], words[1:]
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}{near_match(name, RECIPES)}")
    kind, prog = _command_of(name), f"seqzoo run {name}"
    command = parse(kind, options, prog=prog)
    start = _start(name, command)
    if start == RECIPES[name]():
        return command
    # A resumed run keeps its settings, a preset brings its own: what is not given comes from there.
    return parse(kind, options, prog=prog, default=dataclasses.replace(kind(), recipe=start))


def summary(recipe: type[Any]) -> str:
    """The first line of a recipe's documentation."""
    return (recipe.__doc__ or "").strip().split("\n", 1)[0]


def print_artifacts(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table of a run's artifacts.

    Args:
        rows: As `results.json` holds them.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    columns = ["file", "kB", "load ms", "call ms", "p95 ms", "max error", "verified", *metrics]
    print_table(
        columns,
        [
            [
                row["file"],
                round(row["bytes"] / 1000, 1),
                *(row[name] for name in ("load_ms", "latency_ms_median", "latency_ms_p95", "max_abs_error", "passed")),
                *(row["metrics"].get(name) for name in metrics),
            ]
            for row in rows
        ],
    )


def _command_of(name: str) -> type[Any]:
    recipe = RECIPES[name]
    field = ("recipe", Annotated[recipe, tyro.conf.arg(name="")], dataclasses.field(default_factory=recipe))
    kind = dataclasses.make_dataclass("Run" + recipe.__name__, [field], bases=(Run,), frozen=True, kw_only=True)
    kind.__doc__ = f"{Run.__doc__}\n\n{inspect.cleandoc(recipe.__doc__ or '')}"
    return kind


def _start(name: str, command: Run) -> Any:
    folder = command.out if command.out is not None else default_folder(name)
    if not (command.resume and (folder / "config.json").exists()):
        return configure(RECIPES[name](), preset_fields(name, command.preset))
    stored = stored_recipe(folder)
    # Another recipe's folder: `recipes.run` says so, with the names.
    return stored if type(stored) is RECIPES[name] else RECIPES[name]()
