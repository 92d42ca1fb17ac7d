"""Trains a recipe with several seeds, writes its row of RESULTS.md: `python -m benchmarks.results digits --seeds 0 1`.

What follows the seeds goes to the recipe: `--preset full`, `--units 256`. The runs stand in `runs/results`; those that
are there already are not trained again, those that were stopped go on.
"""

import argparse
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import recipes
from recipes import cli
from recipes.files import write_text
from recipes.run_folder import stored_recipe

BEGIN, END = "<!-- results: made by `python -m benchmarks.results RECIPE --seeds ...` -->", "<!-- end of results -->"
PRESETS_BEGIN, PRESETS_END = "<!-- presets: made with the rows -->", "<!-- end of presets -->"
COLUMNS = ("recipe", "on the test part", "reference", "through the files", "budget", "data", "command")


def main() -> None:
    """Trains, then writes the row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recipe", choices=recipes.list_recipes())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--file", type=Path, default=Path("RESULTS.md"))
    known, fields = parser.parse_known_args()
    folders = [train(known.recipe, seed, fields) for seed in known.seeds]
    runs = [(folder, json.loads((folder / "results.json").read_text())) for folder in folders]
    row = describe(known.recipe, known.seeds, fields, runs)
    write_text(known.file, with_presets(with_row(known.file.read_text(), row)))
    print(row)


def train(recipe: str, seed: int, fields: list[str]) -> Path:
    """Makes one run, or goes on with it, through the command that a user types.

    Args:
        recipe: Its name.
        seed: Of the training.
        fields: Further words of the command.

    Returns:
        The run's folder.
    """
    label = "-".join([recipe, *(word.lstrip("-").replace("/", "_") for word in fields), f"seed-{seed}"])
    folder = Path("runs/results") / label
    # A run that was stopped before its settings were written has nothing to go on with.
    again = ["--resume"] if folder.exists() else []
    if code := cli.main(["run", recipe, *fields, "--seed", str(seed), "--out", str(folder), *again]):
        sys.exit(code)
    return folder


def describe(recipe: str, seeds: list[int], fields: list[str], runs: list[tuple[Path, dict[str, Any]]]) -> str:
    """Makes the row.

    Args:
        recipe: Its name.
        seeds: One for each run.
        fields: Further words of the command.
        runs: Each run's folder and what its `results.json` holds.

    Returns:
        A row of a Markdown table.
    """
    results = [result for _, result in runs]
    measured = [f"{name} {spread([result['metrics'][name] for result in results])}" for name in results[0]["metrics"]]
    cells = (
        recipe,
        ", ".join(measured) + f" ({'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))})",
        stored_recipe(runs[0][0]).reference or "-",
        through_files(results),
        budget(runs),
        results[0]["data"],
        f"`python -m benchmarks.results {' '.join([recipe, '--seeds', *map(str, seeds), *fields])}`",
    )
    return f"| {' | '.join(cells)} |"


def spread(values: list[float]) -> str:
    """Mean and standard deviation over the seeds; the value itself where there is one seed."""
    mean = statistics.fmean(values)
    return f"{mean:.4g}" if len(values) == 1 else f"{mean:.4g} ± {statistics.stdev(values):.2g}"


def through_files(results: list[dict[str, Any]]) -> str:
    """The first metric again, through each exported file's own runtime, averaged over the seeds."""
    files = [row["file"] for row in results[0]["artifacts"]]
    cells = []
    for file in files:
        rows = [row["metrics"] for result in results for row in result["artifacts"] if row["file"] == file]
        if rows and rows[0]:
            name = next(iter(rows[0]))
            cells.append(f"{file}: {name} {statistics.fmean(row[name] for row in rows):.4g}")
    return "<br>".join(cells)


def budget(runs: list[tuple[Path, dict[str, Any]]]) -> str:
    """Machine, minutes, epochs and parameters; the means over the runs."""
    epochs = statistics.fmean(len((folder / "metrics.csv").read_text().splitlines()) - 1 for folder, _ in runs)
    minutes = statistics.fmean(result["seconds"].get("train", 0.0) for _, result in runs) / 60
    resumed = any(result["resumed"] for _, result in runs)
    time = "time not measured (resumed)" if resumed else f"{minutes:.1f} min to train"
    result = runs[0][1]
    return f"{result['device']}, {time}, {epochs:g} epochs, {result['parameters']:,} parameters"


def with_row(text: str, row: str) -> str:
    """Puts a row in the place of the one with the same command but for its seeds, or among the others, by alphabet.

    Args:
        text: All of RESULTS.md.
        row: The row.

    Returns:
        The new text.
    """
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    kept = [line for line in table.strip().splitlines()[2:] if _command(line) != _command(row)]
    head = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    return before + "\n".join([BEGIN, *head, *sorted([*kept, row]), END]) + after


def with_presets(text: str) -> str:
    """Says which of the presets that want a GPU have no row.

    Args:
        text: All of RESULTS.md.

    Returns:
        The new text.
    """
    before, rest = text.split(PRESETS_BEGIN)
    _, after = rest.split(PRESETS_END)
    commands = [_command(line) for line in text.split(END)[0].splitlines()]
    lines = []
    for name in recipes.list_recipes():
        ours = [command for command in commands if f"results {name} " in command]
        if "full" in recipes.get_recipe(name).PRESETS and not any("--preset full" in command for command in ours):
            lines.append(f"- `python -m benchmarks.results {name} --preset full`: not run")
    return before + "\n".join([PRESETS_BEGIN, *lines, PRESETS_END]) + after


def _command(row: str) -> str:
    return re.sub(r"--seeds( \d+)+", "", row.split(" | ")[-1])


if __name__ == "__main__":
    main()
