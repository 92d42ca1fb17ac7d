"""What a search is asked for, checked, and held against the folder that it goes on in."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.errors import RecipeError, UsageError
from recipes.files import naming, read_json, write_json
from recipes.recipe import RecipeConfig
from recipes.resuming import difference
from recipes.search_space import Space
from recipes.searcher import Address
from recipes.settings import content_of, recipe_of
from recipes.trials import Goal

SETTINGS = "search.json"


def roles(chief: str | None, worker: str | None) -> tuple[Address | None, str | None]:
    """Says which part this process has in a search by several.

    Args:
        chief: `host:port`; where None, KerasTuner's variables tell: KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT and
            KERASTUNER_TUNER_ID, which is `chief` for the chief.
        worker: This process's name, unless it is the chief.

    Returns:
        Where the chief listens, None for a search by this process alone; and the worker's name, None for the chief.

    Raises:
        UsageError: The address is none, or a worker has no chief.
    """
    if chief is None and "KERASTUNER_ORACLE_IP" in os.environ:
        chief = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ.get('KERASTUNER_ORACLE_PORT', '')}"
        name = os.environ.get("KERASTUNER_TUNER_ID", "chief")
        worker = worker or (None if name == "chief" else name)
    if chief is None:
        if worker is not None:
            raise UsageError(f"worker {worker!r} needs a chief: give its address, such as --chief 10.0.0.1:9000")
        return None, None
    host, _, port = chief.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UsageError(f"a chief's address reads like 10.0.0.1:9000; got {chief!r}")
    return Address(host, int(port)), worker


def make_goal(recipe: RecipeConfig, objective: str | None, limits: Mapping[str, float]) -> Goal:
    """Says what counts.

    Args:
        recipe: Gives the objective where none is given, and the direction of its own.
        objective: A metric, perhaps with `:max` or `:min`.
        limits: The most that measured quantities may be.

    Returns:
        The goal.

    Raises:
        UsageError: A direction that is none, or a limit that is no size.
    """
    usual = recipe.objective()  # type: ignore[attr-defined]  # a member of every registered recipe
    for limit, most in limits.items():
        if not most > 0:
            raise UsageError(f"limit {limit} must be more than 0, got {most:g}")
    if objective is None:
        return Goal(usual.monitor, usual.mode, dict(limits))
    metric, colon, direction = objective.partition(":")
    column = metric if metric.startswith("val_") else f"val_{metric}"
    if not colon:
        direction = usual.mode if column == usual.monitor else ("min" if _is_an_error(metric) else "max")
    if not metric or direction not in ("max", "min"):
        raise UsageError(f"an objective reads like accuracy:max or loss:min; got {objective!r}")
    return Goal(column, direction, dict(limits))  # type: ignore[arg-type]  # one of the two


def settings(recipe: RecipeConfig, space: Space, goal: Goal, method: str, trials: int) -> dict[str, Any]:
    """Puts down what makes a search what it is.

    Args:
        recipe: With the fields that are not searched.
        space: What is searched.
        goal: What counts.
        method: The algorithm.
        trials: How many at most.

    Returns:
        What `search.json` holds.
    """
    return {
        **content_of(recipe),
        "space": {name: dataclasses.asdict(search) for name, search in space.items()},
        "goal": dataclasses.asdict(goal),
        "method": method,
        "trials": trials,
    }


def admit(folder: Path, settings: Mapping[str, Any]) -> None:
    """Makes a search's folder ready, or makes sure that it holds this very search.

    Args:
        folder: Where the search stands.
        settings: As `settings` gives them.

    Raises:
        UsageError: The folder holds a search with other settings.
        RecipeError: The folder holds something else, or can't be written.
    """
    file = folder / SETTINGS
    with naming("write", folder):
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if not file.exists():
        if strangers:
            raise RecipeError(f"{folder} is no search's folder (it holds {strangers[0]}, no {SETTINGS}): left alone")
        write_json(file, settings)
        return
    before, now = read_json(file), json.loads(json.dumps(settings))
    others = [
        f"{name} {short(before.get(name))}, not {short(value)}"
        for name, value in now.items()
        if before.get(name) != value and name not in ("fields", "given")
    ]
    if not others:
        _, field = difference(recipe_of(before), recipe_of(now))
        others = [field] if field else []
    if others:
        raise UsageError(
            f"the search in {folder} has {others[0]}: go on with the same settings, or name another folder"
        )


def short(value: Any) -> str:
    """A field's value as a reader wants it: four digits, a tuple's numbers joined by `+`."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _is_an_error(metric: str) -> bool:
    return any(word in metric for word in ("loss", "error", "entropy", "mse", "mae", "rmse", "perplexity", "nrmse"))
