"""Searching a recipe's fields: each trial is a run like any other, and a kill at any moment loses none of them."""

import dataclasses
import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import recipes
from recipes import tuning_page
from recipes.console import Console
from recipes.errors import Interrupted, RecipeError, UsageError
from recipes.files import naming, read_json, write_json
from recipes.journal import Journal
from recipes.recipe import RECIPES, RecipeConfig, configure, preset_fields, recipe_name
from recipes.run_folder import fields_of, option_words
from recipes.search_space import Space, fields_of_trial, hyperparameters, search_space
from recipes.searcher import Method, Outcome, Searcher, make_oracle
from recipes.trials import Goal, run_trial

WORKER = "here"
JOURNAL, SETTINGS, TABLE, PAGE = "journal.jsonl", "search.json", "trials.json", "tune.html"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: From 0, in the order in which trials began.
        fields: The searched fields, as this trial had them.
        outcome: How it ended.
        folder: Its run.
        within: Whether it keeps all limits.
    """

    number: int
    fields: Mapping[str, Any]
    outcome: Outcome
    folder: Path
    within: bool


@dataclasses.dataclass(frozen=True)
class Search:
    """A finished search.

    Attributes:
        folder: Where it stands.
        goal: What was looked for.
        trials: The best first, those over a limit after those within, the failed last.
    """

    folder: Path
    goal: Goal
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial | None:
        """The best trial that keeps all limits."""
        return next((trial for trial in self.trials if trial.within), None)


def tune(
    name: str,
    *,
    trials: int = 20,
    method: Method = "random",
    space: Mapping[str, Any] | None = None,
    objective: str | None = None,
    limits: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    preset: str | None = None,
    quiet: bool = False,
    **fields: Any,
) -> Search:
    """Searches a recipe's fields. The same call goes on with a search that was stopped, at whatever moment.

    Args:
        name: The recipe.
        trials: How many at most. Each is a run of the recipe in a folder of its own.
        method: `random`, `hyperband`, `bayesian` or `grid`. Hyperband's short trials train from the start, so that each
            has a schedule of its own.
        space: Field name -> (low, high) or a list of values: narrows or widens what the recipe says.
        objective: A metric of the validation part, such as `accuracy`, or with its direction, `loss:min`; what the
            recipe chooses its epoch by unless given. The test part chooses nothing.
        limits: The most that `tflite_bytes`, `latency_ms`, `parameters` ... may be, as measured on the exported files.
        out: The folder; `runs/tune-<name>` unless given.
        preset: Settings of the recipe's that go together.
        quiet: Say nothing on the way.
        **fields: The recipe's fields that have one value in all trials; they are not searched.

    Returns:
        The search, its trials ranked.

    Raises:
        UsageError: An unknown recipe, field, objective or limit, a bad value, or a folder of another search.
        RecipeError: A file can't be written, or is damaged.
        Interrupted: Ctrl-C; says how to go on.
    """
    if trials < 1:
        raise UsageError(f"a search needs at least one trial, got {trials}")
    recipes.get_recipe(name)
    given = {**preset_fields(name, preset), **fields}
    recipe = configure(RECIPES[name](), given)
    searched = search_space(recipe, space or {}, tuple(given))
    goal = make_goal(recipe, objective, limits or {})
    folder = Path(out) if out is not None else Path("runs") / f"tune-{name}"
    settings = _settings(recipe, searched, goal, method, trials)
    _admit(folder, settings)
    job = _Job(recipe, given, searched, goal, folder, Console(quiet), method=method, trials=trials)
    oracle = make_oracle(
        method,
        hyperparameters(searched, recipe),
        direction=goal.direction,
        trials=trials,
        epochs=recipe.epochs,
        seed=recipe.seed,
    )
    try:
        return job.search(Searcher(oracle, Journal(folder / JOURNAL)))
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; the same command goes on with the search in {folder}") from None


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
    if direction not in ("max", "min"):
        raise UsageError(f"an objective reads like accuracy:max or loss:min; got {objective!r}")
    return Goal(column, direction, dict(limits))  # type: ignore[arg-type]  # one of the two


class _Job:
    def __init__(
        self,
        recipe: RecipeConfig,
        given: Mapping[str, Any],
        space: Space,
        goal: Goal,
        folder: Path,
        console: Console,
        *,
        method: Method,
        trials: int,
    ) -> None:
        self.recipe, self.given, self.space, self.goal = recipe, given, space, goal
        self.folder, self.console, self.method, self.trials = folder, console, method, trials

    def search(self, searcher: Searcher) -> Search:
        while True:
            asked = searcher.ask(WORKER)
            if asked == "stopped":
                break
            if asked == "idle":
                time.sleep(1)
                continue
            outcome = self._run(asked.number, asked.values)
            searcher.tell(WORKER, asked.number, outcome)
            self._write(searcher)
        return self._write(searcher)

    def _run(self, number: int, values: Mapping[str, Any]) -> Outcome:
        trial = fields_of_trial(self.space, values)
        if "tuner/epochs" in values:
            trial["epochs"] = int(values["tuner/epochs"])
        self.console.say(f"trial {number}: " + ", ".join(f"{name} {_short(value)}" for name, value in trial.items()))
        log = self.folder / "logs" / f"{number:04d}.txt"
        outcome = run_trial(self.recipe, {**self.given, **trial}, self._place(number), log, self.goal)
        if outcome.score is None:
            self.console.say(f"trial {number} failed: {outcome.reason}")
        else:
            self.console.say(f"trial {number}: {self.goal.column} {outcome.details['value']:.4f}")
        return outcome

    def _place(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def _write(self, searcher: Searcher) -> Search:
        done = [self._trial(searcher, number) for number in sorted(searcher.outcomes)]
        best_first = -1 if self.goal.direction == "max" else 1
        done.sort(
            key=lambda trial: (
                trial.outcome.score is None,
                best_first * (trial.outcome.score or 0.0),
                trial.number,
            )
        )
        search = Search(self.folder, self.goal, tuple(done))
        write_json(self.folder / TABLE, tuning_page.rows(search))
        tuning_page.write(self.folder / PAGE, recipe_name(type(self.recipe)), self._command(), search, self.space)
        return search

    def _command(self) -> str:
        words = ["seqzoo", "tune", recipe_name(type(self.recipe)), "--trials", str(self.trials)]
        words += ["--method", self.method, "--objective", f"{self.goal.column}:{self.goal.direction}"]
        words += ["--space", *(f"{name}={_range(search)}" for name, search in self.space.items())]
        if self.goal.limits:
            words += ["--limit", *(f"{name}={most:.10g}" for name, most in self.goal.limits.items())]
        return shlex.join([*words, *option_words(self.given), "--out", str(self.folder)])

    def _trial(self, searcher: Searcher, number: int) -> Trial:
        outcome, values = searcher.outcomes[number], searcher.values[number]
        fields = fields_of_trial(self.space, values)
        if "tuner/epochs" in values:
            fields["epochs"] = int(values["tuner/epochs"])
        measured = outcome.details.get("measured", {})
        within = outcome.score is not None and all(measured[name] <= most for name, most in self.goal.limits.items())
        return Trial(number, fields, outcome, self._place(number), within)


def _settings(recipe: RecipeConfig, space: Space, goal: Goal, method: str, trials: int) -> dict[str, Any]:
    return {
        "recipe": recipe_name(type(recipe)),
        "fields": fields_of(recipe),
        "space": {name: dataclasses.asdict(search) for name, search in space.items()},
        "goal": dataclasses.asdict(goal),
        "method": method,
        "trials": trials,
    }


def _admit(folder: Path, settings: Mapping[str, Any]) -> None:
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
    for name, value in now.items():
        if before.get(name) != value:
            raise UsageError(
                f"the search in {folder} has {name} {_short(before.get(name))}, not {_short(value)}: go on with the "
                "same settings, or name another folder"
            )


def _is_an_error(metric: str) -> bool:
    return any(word in metric for word in ("loss", "error", "entropy", "mse", "mae", "rmse", "perplexity", "nrmse"))


def _range(search: Any) -> str:
    if search.values:
        return ",".join(map(_short, search.values))
    return f"{search.low:.10g}:{search.high:.10g}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
