"""The same task with several models of the zoo: one run each, one table, one plot."""

import csv
import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import recipes
from recipes import report
from recipes.console import Console
from recipes.errors import Interrupted, RecipeError, UsageError, first_line
from recipes.files import naming, read_json, write_json
from recipes.recipe import RECIPES, RecipeConfig, configure, recipe_name
from recipes.resuming import difference
from recipes.run_folder import RunFolder, command_line, default_folder, stored_recipe
from recipes.settings import preset_fields, refuse_idle

COLOURS = ("accent", "second", "good", "bad", "ink", "muted")
DASHES = ("-", "--", ":", "-.")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model's run.

    Attributes:
        model: Its name in the zoo.
        folder: Its run's folder.
        results: What its `results.json` holds; None where the run failed.
        failure: Why it failed, one line; empty where it did not.
    """

    model: str
    folder: Path
    results: Mapping[str, Any] | None
    failure: str = ""


def compare(
    name: str,
    models: Sequence[str],
    *,
    out: str | Path | None = None,
    preset: str | None = None,
    quiet: bool = False,
    **fields: Any,
) -> list[Entry]:
    """Runs a recipe with each of several models; what was run before is kept, what was stopped goes on.

    Args:
        name: The recipe.
        models: Names of the zoo's models, each of the shape of the recipe's own.
        out: The folder, which gets one run a model, `compare.json` and `compare.html`; `runs/compare-<name>` unless
            given.
        preset: Settings of the recipe's that go together.
        quiet: Say nothing on the way.
        **fields: The recipe's fields that differ from their defaults, the same for all models.

    Returns:
        One entry a model, in their order. A model whose run failed says why; the others go on.

    Raises:
        UsageError: An unknown recipe, model or field, a model twice, a recipe whose model can't be chosen, or a folder
            that holds a comparison with other settings.
        RecipeError: All runs failed, or the page can't be written.
        Interrupted: Ctrl-C; says how to go on.
    """
    usual = recipes.get_recipe(name)
    if not hasattr(usual, "model"):
        raise UsageError(f"{name} has no field 'model': its model can't be chosen")
    if len(set(models)) < len(models):
        raise UsageError(f"each model once, got {' '.join(models)}")
    recipe = configure(RECIPES[name](), {**preset_fields(name, preset), **fields})
    refuse_idle(recipe, fields)
    folder = Path(out) if out is not None else Path("runs") / f"compare-{name}"
    for model in models:
        _refuse_other_settings(recipe, model, folder / model)
    console = Console(quiet)
    entries = []
    for model in models:
        console.say(f"{name} with {model}")
        settings = {"preset": preset, **fields, "model": model}
        try:
            entries.append(_run(name, model, folder / model, quiet, settings))
        except Interrupted:
            raise Interrupted(f"stopped; go on with: {_command(recipe, models, folder)}") from None
        except UsageError:
            if entries:
                _write(name, recipe, folder, entries)
            raise
        if entries[-1].failure:
            console.say(f"{model} failed: {entries[-1].failure}")
    if not any(entry.results for entry in entries):
        raise RecipeError("; ".join(f"{entry.model}: {entry.failure}" for entry in entries))
    _write(name, recipe, folder, entries)
    console.say(f"report: {folder / 'compare.html'}")
    return entries


def rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One row of figures a model.

    Args:
        entries: What `compare` gave.

    Returns:
        Dictionaries with the same keys: model, the test metrics, parameters, bytes and latency of each file, seconds of
        training, why it failed.
    """
    done = [entry.results for entry in entries if entry.results]
    metrics = list(dict.fromkeys(name for results in done for name in results["metrics"]))
    files = list(dict.fromkeys(row["file"] for results in done for row in results["artifacts"]))
    return [_row(entry, metrics, files) for entry in entries]


def _command(recipe: RecipeConfig, models: Sequence[str], folder: Path) -> str:
    name = recipe_name(type(recipe))
    settings = command_line(recipe, default_folder(name)).removeprefix(f"seqzoo run {name}")
    return f"seqzoo compare {name} --models {shlex.join(models)}{settings} --out {shlex.quote(str(folder))}"


def _row(entry: Entry, metrics: Sequence[str], files: Sequence[str]) -> dict[str, Any]:
    results = entry.results or {"metrics": {}, "artifacts": [], "seconds": {}}
    measured = {row["file"]: row for row in results["artifacts"]}
    row: dict[str, Any] = {"model": entry.model}
    row |= {name: results["metrics"].get(name) for name in metrics}
    row |= {"parameters": results.get("parameters"), "train s": results["seconds"].get("train")}
    for file in files:
        label = file.removeprefix("model.")
        row[f"{label} kB"] = measured[file]["bytes"] / 1000 if file in measured else None
        row[f"{label} ms"] = measured[file]["latency_ms_median"] if file in measured else None
    return row | {"failure": entry.failure or None}


def _refuse_other_settings(recipe: RecipeConfig, model: str, folder: Path) -> None:
    """A run that is there must be of this comparison: found out before any other is trained."""
    try:
        stored = stored_recipe(folder)
    except RecipeError:  # none is there, or it is damaged, which its own entry says
        return
    wanted = configure(recipe, {"model": model})
    _, other = difference(stored, wanted, read_json(RunFolder(folder).config).get("file_sha256"))
    if other:
        raise UsageError(f"{folder} has {other}: give the same settings, or another folder with --out")


def _run(name: str, model: str, folder: Path, quiet: bool, settings: dict[str, Any]) -> Entry:
    try:
        done = recipes.run(name, out=folder, resume=folder.exists(), quiet=quiet, **settings)
    except UsageError:
        raise
    except RecipeError as error:
        return Entry(model, folder, None, first_line(error))
    return Entry(model, folder, done.results)


def _write(name: str, recipe: RecipeConfig, folder: Path, entries: Sequence[Entry]) -> None:
    with naming("write", folder):
        folder.mkdir(parents=True, exist_ok=True)
    table = rows(entries)
    write_json(folder / "compare.json", table)
    columns = [column for column in table[0] if any(row[column] is not None for row in table)]
    sections = [
        report.Section("Models", report.table(columns, [[row[column] for column in columns] for row in table])),
        report.Section("Validation over the epochs", _curves(recipe.objective().monitor, entries)),
    ]
    report.write(
        folder / "compare.html",
        title=f"{name}: {len(entries)} models",
        summary="The same data, budget and given settings for each model; figures on the test part.",
        command=_command(recipe, [entry.model for entry in entries], folder),
        facts={"Folder": str(folder)},
        sections=sections,
    )


def _curves(monitor: str, entries: Sequence[Entry]) -> str:
    figure, axes = report.themed_axes(8.0, 4.0)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(monitor.replace("_", " "))
    drawn = 0
    for index, entry in enumerate(entries):
        path = entry.folder / "metrics.csv"
        if not path.exists():
            continue
        with path.open(encoding="utf-8") as file:
            history = list(csv.DictReader(file))
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
        axes.plot(
            [int(row["epoch"]) for row in history],
            [float(row[monitor]) for row in history],
            color=report.LIGHT[colour],
            linestyle=dash,
            marker="o" if len(history) == 1 else None,
            label=entry.model,
        )
        drawn += 1
    if drawn:
        axes.legend(frameon=False, fontsize=9, labelcolor=report.LIGHT["ink"])
    return report.inline_svg(figure, f"{monitor} over the epochs for {drawn} models")
