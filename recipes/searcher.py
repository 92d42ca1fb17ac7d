"""KerasTuner's search algorithms, with a state that a kill can't hurt.

KerasTuner saves an oracle's state to files of which a kill may leave some old and some new, and not all of what its
algorithms remember (keras-tuner#1055, #439). Here the oracle lives in memory only: what was asked of it and told to it
stands in a journal, and a new process asks and tells the same again, which brings a new oracle to the same state.
"""

import dataclasses
import math
from typing import Any, Literal

import keras_tuner

from recipes.errors import RecipeError
from recipes.journal import Event, Journal

Method = Literal["random", "hyperband", "bayesian", "grid"]
WORST = 1e30
"""What Hyperband is told of a trial that failed: it waits for ever for one that has no score."""
_OBJECTIVE = "score"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        score: What the search lowers or raises; None where the trial failed.
        reason: Why it failed.
        details: What else is known of it: metrics, sizes, times.
    """

    score: float | None
    reason: str = ""
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Asked:
    """A trial to run.

    Attributes:
        number: From 0, in the order in which trials began.
        values: As KerasTuner gives them.
    """

    number: int
    values: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Address:
    """Where the chief listens.

    Attributes:
        host: A name or a number.
        port: Its port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Searcher:
    """Asks for trials and tells their outcomes; several workers may do so at once, through one process."""

    def __init__(self, oracle: keras_tuner.Oracle, journal: Journal) -> None:
        """Brings an oracle to the state that a journal tells of.

        Args:
            oracle: New, as `make_oracle` makes it.
            journal: What has happened so far.

        Raises:
            RecipeError: The journal is that of another search.
        """
        self._oracle, self._journal = oracle, journal
        self._ids: list[str] = []
        self.values: list[dict[str, Any]] = []
        self.outcomes: dict[int, Outcome] = {}
        for event in journal.events:
            self._replay(event)

    def ask(self, worker: str) -> Asked | Literal["idle", "stopped"]:
        """Asks what to run next.

        Args:
            worker: Who asks. One that has a trial already, since it was killed in the middle, gets it again.

        Returns:
            A trial; `idle` where other workers' outcomes must be waited for, `stopped` where the search is over.
        """
        if (number := self._running(worker)) is not None:
            return Asked(number, self.values[number])
        kind, number = self._create(worker)
        if kind == "stopped":
            return "stopped"
        content = {} if number is None else {"values": self.values[number]}
        self._journal.append(Event(kind, worker, number, content))
        return "idle" if number is None else Asked(number, self.values[number])

    def tell(self, worker: str, number: int, outcome: Outcome) -> None:
        """Tells how a trial ended.

        Args:
            worker: Who ran it.
            number: The trial's.
            outcome: What came of it.
        """
        self._journal.append(Event("end", worker, number, dataclasses.asdict(outcome)))
        self._end(number, outcome)

    def lose(self, worker: str) -> None:
        """Takes a trial from a worker that is dead: the next who asks gets it.

        Args:
            worker: The dead one; one that has no trial is forgotten.
        """
        number = self._running(worker)
        self._journal.append(Event("lost", worker, number))
        self._lose(worker)

    def is_lost(self, number: int) -> bool:
        """Whether a trial was taken from a worker and given to no other yet.

        Args:
            number: The trial's.

        Returns:
            True if it waits for a worker.
        """
        return number < len(self._ids) and self._ids[number] in self._oracle._retry_queue

    def running(self) -> dict[str, int]:
        """Worker -> number of the trial that it has."""
        return {worker: self._ids.index(trial.trial_id) for worker, trial in self._oracle.ongoing_trials.items()}

    def _running(self, worker: str) -> int | None:
        return self.running().get(worker)

    def _create(self, worker: str) -> tuple[str, int | None]:
        trial = self._oracle.create_trial(worker)
        if trial.status != "RUNNING":
            return ("stopped" if trial.status == "STOPPED" else "idle"), None
        if trial.trial_id not in self._ids:
            self._ids.append(trial.trial_id)
            self.values.append(dict(trial.hyperparameters.values))
        return "start", self._ids.index(trial.trial_id)

    def _end(self, number: int, outcome: Outcome) -> None:
        if self.is_lost(number):
            self._oracle._retry_queue.remove(self._ids[number])
        self.outcomes[number] = outcome
        trial = self._oracle.trials[self._ids[number]]
        score = outcome.score
        if score is None and isinstance(self._oracle, keras_tuner.oracles.HyperbandOracle):
            score = -WORST if self._oracle.objective.direction == "max" else WORST
        if score is not None:
            self._oracle.update_trial(trial.trial_id, {_OBJECTIVE: score})
        trial.status = "FAILED" if score is None else "COMPLETED"
        self._oracle.end_trial(trial)

    def _lose(self, worker: str) -> None:
        trial = self._oracle.ongoing_trials.pop(worker, None)
        self._oracle.tuner_ids.discard(worker)
        if trial is not None:
            self._oracle._retry_queue.append(trial.trial_id)

    def _replay(self, event: Event) -> None:
        if event.kind in ("start", "idle"):
            kind, number = self._create(event.worker)
            if (kind, number) != (event.kind, event.trial) or not self._agrees(event):
                raise RecipeError(f"{self._journal.path} is the journal of another search; name another folder")
        elif event.kind == "end" and event.trial is not None:
            self._end(event.trial, Outcome(**event.content))
        elif event.kind == "lost":
            self._lose(event.worker)

    def _agrees(self, event: Event) -> bool:
        if event.trial is None:
            return True
        mine, wrote = self.values[event.trial], event.content["values"]
        if mine.keys() != wrote.keys() or not all(_same(mine[name], wrote[name]) for name in mine):
            return False
        # Another machine may round the last digit of a search by a model differently: what was run counts.
        self.values[event.trial] = dict(wrote)
        self._oracle.trials[self._ids[event.trial]].hyperparameters.values = dict(wrote)
        return True


class _NothingTwice(keras_tuner.oracles.BayesianOptimizationOracle):
    """KerasTuner's, which asks for the same trial again where its model is sure that nothing is better."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        found: dict[str, Any] = super().populate_space(trial_id)
        if found["values"] is not None and self._duplicate(found["values"]):
            found = self._random_populate_space()
        return found


def make_oracle(
    method: Method,
    space: keras_tuner.HyperParameters,
    *,
    direction: Literal["max", "min"],
    trials: int,
    epochs: int,
    seed: int,
) -> keras_tuner.Oracle:
    """Makes a search algorithm.

    Args:
        method: Random search, Hyperband (Li et al. 2018, arXiv:1603.06560), Bayesian optimisation with a Gaussian
            process, or every combination.
        space: What is searched.
        direction: Whether a score is better the higher or the lower.
        trials: How many trials there are at most.
        epochs: Hyperband: how long its best trials train.
        seed: The same seed asks for the same trials where outcomes are the same.

    Returns:
        An oracle that writes no files and never gives up.
    """
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(_OBJECTIVE, direction),
        "hyperparameters": space,
        "allow_new_entries": False,
        "tune_new_entries": False,
        # KerasTuner takes 0 for "no seed".
        "seed": seed + 1,
        "max_consecutive_failed_trials": math.inf,
    }
    if method == "hyperband":
        oracle = keras_tuner.oracles.HyperbandOracle(max_epochs=epochs, hyperband_iterations=0, **common)
        oracle.max_trials = trials
    else:
        kinds = {
            "random": keras_tuner.oracles.RandomSearchOracle,
            "bayesian": _NothingTwice,
            "grid": keras_tuner.oracles.GridSearchOracle,
        }
        oracle = kinds[method](max_trials=trials, **common)
    oracle.verbose = 0
    # The journal is the state; KerasTuner's own files would be a second, weaker truth.
    oracle.save = lambda: None
    oracle._save_trial = lambda trial: None
    return oracle


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)
    return bool(one == other)
