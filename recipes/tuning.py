"""Searching a recipe's fields: each trial is a run like any other, and a kill at any moment loses none of them."""

import dataclasses
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import recipes
from recipes import tuning_page
from recipes.console import Console
from recipes.errors import Interrupted, UsageError
from recipes.files import write_json
from recipes.journal import Journal
from recipes.recipe import RECIPES, RecipeConfig, configure, recipe_name
from recipes.run_folder import option_words
from recipes.search_settings import admit, make_goal, roles, settings, short
from recipes.search_space import Space, fields_of_trial, hyperparameters, search_space
from recipes.searcher import Address, Method, Outcome, Searcher, make_oracle
from recipes.settings import preset_fields, refuse_idle
from recipes.trials import Goal, run_trial

WORKER = "here"
JOURNAL, TABLE, PAGE = "journal.jsonl", "trials.json", "tune.html"


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
    chief: str | None = None,
    worker: str | None = None,
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
        chief: `host:port`, where the chief of several processes listens: this process, unless `worker` is given. All
            need the same arguments, and a folder that all of them see. KerasTuner's environment variables serve too.
        worker: This process's name among the chief's workers.
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
    refuse_idle(recipe, fields)
    searched = search_space(recipe, space or {}, tuple(given))
    goal = make_goal(recipe, objective, limits or {})
    folder = Path(out) if out is not None else Path("runs") / f"tune-{name}"
    address, worker = roles(chief, worker)
    wanted = settings(recipe, searched, goal, method, trials)
    admit(folder, wanted)
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
        if address is not None and worker is not None:
            job.work(worker, address)
            # The chief alone writes.
            return job.ranked(Searcher(oracle, Journal(folder / JOURNAL)))
        searcher = Searcher(oracle, Journal(folder / JOURNAL))
        return job.search(searcher) if address is None else job.lead(searcher, address)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; the same command goes on with the search in {folder}") from None


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

    def lead(self, searcher: Searcher, address: Address) -> Search:
        from recipes import cluster

        self.console.say(f"waiting for workers at {address}")
        cluster.serve(cluster.Chief(searcher, lambda: self._write(searcher)), address, self.console.say)
        return self._write(searcher)

    def work(self, name: str, address: Address) -> None:
        from recipes import cluster

        done = cluster.work(name, address, lambda asked: self._run(asked.number, asked.values))
        self.console.say(f"the search is over; {done} of its trials ran here")

    def _run(self, number: int, values: Mapping[str, Any]) -> Outcome:
        trial = fields_of_trial(self.space, values)
        if "tuner/epochs" in values:
            trial["epochs"] = int(values["tuner/epochs"])
        self.console.say(f"trial {number}: " + ", ".join(f"{name} {short(value)}" for name, value in trial.items()))
        log = self.folder / "logs" / f"{number:04d}.txt"
        outcome = run_trial(self.recipe, {**self.given, **trial}, self._place(number), log, self.goal)
        if outcome.score is None:
            self.console.say(f"trial {number} failed: {outcome.reason}")
        else:
            self.console.say(f"trial {number}: {self.goal.column} {outcome.details['value']:.4f}")
        return outcome

    def _place(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def ranked(self, searcher: Searcher) -> Search:
        done = [self._trial(searcher, number) for number in sorted(searcher.outcomes)]
        best_first = -1 if self.goal.direction == "max" else 1
        done.sort(
            key=lambda trial: (
                trial.outcome.score is None,
                best_first * (trial.outcome.score or 0.0),
                trial.number,
            )
        )
        return Search(self.folder, self.goal, tuple(done))

    def _write(self, searcher: Searcher) -> Search:
        search = self.ranked(searcher)
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


def _range(search: Any) -> str:
    if search.values:
        return ",".join(map(short, search.values))
    return f"{search.low:.10g}:{search.high:.10g}"
