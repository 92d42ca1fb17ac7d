"""Running one trial of a search, and reading what came of it."""

import csv
import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from recipes.errors import RecipeError, UsageError
from recipes.fields import near_match
from recipes.files import naming, read_json
from recipes.recipe import RecipeConfig, recipe_name
from recipes.run_folder import RunFolder, option_words
from recipes.searcher import Outcome

KILLED = 3
"""How often a trial's process may be killed without a finished epoch in between before it counts as failed."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a search looks for.

    Attributes:
        column: The column of `metrics.csv` whose value at the best epoch counts.
        direction: Whether a value is better the higher or the lower.
        limits: Measured quantity -> the most that it may be.
    """

    column: str
    direction: Literal["max", "min"]
    limits: Mapping[str, float]

    def score(self, value: float, measured: Mapping[str, float]) -> float:
        """Makes trials over a limit worse than those under it, the more the further they are over.

        Args:
            value: Of the column.
            measured: The measured quantities.

        Returns:
            The value itself where all limits are kept.
        """
        excess = sum(max(0.0, measured[name] / limit - 1) for name, limit in self.limits.items())
        worse = (1 + abs(value)) * (1 + excess) if excess else 0.0
        return value - worse if self.direction == "max" else value + worse


def run_trial(recipe: RecipeConfig, fields: Mapping[str, Any], folder: Path, log: Path, goal: Goal) -> Outcome:
    """Runs a trial, or goes on with it where it was stopped.

    Args:
        recipe: What is tuned.
        fields: The recipe's fields that differ from their defaults, the trial's among them.
        folder: The trial's run.
        log: What the run says goes there.
        goal: What counts.

    Returns:
        What came of it; failed where the run failed, with its reason.

    Raises:
        RecipeError: The log can't be written.
        KeyboardInterrupt: Ctrl-C, after the run has ended too.
    """
    name = recipe_name(type(recipe))
    words = ["run", name, "--resume", "--wait", "--out", str(folder), *option_words(fields)]
    kills, epochs = 0, _epochs(folder)
    while (code := _call(words, log)) != 0:
        if code > 0:
            return Outcome(None, _reason(log))
        # Killed from outside, such as for want of memory: it goes on, unless that leads nowhere.
        kills, epochs = (0, _epochs(folder)) if _epochs(folder) > epochs else (kills + 1, epochs)
        if kills == KILLED:
            return Outcome(None, f"killed {KILLED} times by signal {-code}; it may need more memory than there is")
    return read_outcome(folder, goal)


def read_outcome(folder: Path, goal: Goal) -> Outcome:
    """Reads what came of a run.

    Args:
        folder: A finished run.
        goal: What counts.

    Returns:
        The score and all that was measured.

    Raises:
        UsageError: The run knows no such objective or limit.
        RecipeError: A file is missing or damaged.
    """
    run = RunFolder(folder)
    results = read_json(run.results)
    with naming("read", run.metrics), run.metrics.open(encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    if goal.column not in rows[0]:
        raise UsageError(f"there is no objective {goal.column!r}{near_match(goal.column, rows[0])}")
    best = max if goal.direction == "max" else min
    row = best(rows, key=lambda row: row[goal.column])
    measured = measurements(results)
    for limit in goal.limits:
        if limit not in measured:
            raise UsageError(f"there is no limit {limit!r}{near_match(limit, measured)}")
    details = {"value": row[goal.column], "epoch": row["epoch"], "measured": measured, "test": results["metrics"]}
    return Outcome(goal.score(row[goal.column], measured), "", details)


def measurements(results: Mapping[str, Any]) -> dict[str, float]:
    """What a limit can be set on.

    Args:
        results: What a run's `results.json` holds.

    Returns:
        Name -> value: `parameters`; for each format, of its first file, `tflite_bytes`, `tflite_latency_ms` and so on;
        `bytes` and `latency_ms` are those of LiteRT.
    """
    measured = {"parameters": float(results["parameters"])}
    for row in results["artifacts"]:
        measured.setdefault(f"{row['format']}_bytes", float(row["bytes"]))
        measured.setdefault(f"{row['format']}_latency_ms", float(row["latency_ms_median"]))
    for short in ("bytes", "latency_ms"):
        if f"tflite_{short}" in measured:
            measured[short] = measured[f"tflite_{short}"]
    return measured


def _call(words: list[str], log: Path) -> int:
    command = [sys.executable, "-m", "recipes.trial_process", str(os.getpid()), *words]
    with naming("write", log):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    with output, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=output) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # A terminal's Ctrl-C has reached the run as well; it needs a moment to end cleanly.
            process.terminate()
            process.wait()
            raise


def _reason(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else f"it ended without a word, see {log}"


def _epochs(folder: Path) -> int:
    metrics = RunFolder(folder).metrics
    try:
        return len(metrics.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        if metrics.exists():
            raise RecipeError(f"cannot read {metrics}: {error.strerror}") from error
        return 0
