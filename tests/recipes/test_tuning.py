"""A search asks for the same trials and ends with the same table however often it is killed; budgets are kept."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import recipes
from recipes import tuning, tuning_page
from recipes.cli import main
from recipes.errors import RecipeError
from recipes.journal import Event, Journal
from recipes.search_space import fields_of_trial, hyperparameters, search_space
from recipes.searcher import Outcome, Searcher, make_oracle
from recipes.trials import KILLED, Goal, measurements, run_trial

DIGITS = recipes.get_recipe("digits")
SPACE = search_space(
    DIGITS,
    {"learning_rate": (1e-4, 1e-1), "units": [(8,), (16,), (8, 8)], "cell": ["gru", "lstm"]},
    ("dropout", "bidirectional"),
)
METHODS = ["random", "grid", "hyperband", pytest.param("bayesian", marks=pytest.mark.slow)]
TRIALS = 17
SMALL = ["--epochs", "1", "--batch-size", "400", "--space", "units=3,4", "cell=gru,simple_rnn"]


class KilledError(Exception):
    """Stands for a SIGKILL: nothing in the process's memory is left."""


def outcome_of(values) -> Outcome:
    """A made-up task; some combinations fail."""
    fields = fields_of_trial(SPACE, values)
    if fields["units"] == (8, 8):
        return Outcome(None, "the loss is nan in epoch 1")
    return Outcome(math.log10(fields["learning_rate"]) ** 2 + sum(fields["units"]) + values.get("tuner/epochs", 0))


def searched(journal: Path, method: str, kills: random.Random | None = None, workers: int = 1):
    """One process of a search; dies at random moments where `kills` says so."""
    oracle = make_oracle(method, hyperparameters(SPACE, DIGITS), direction="min", trials=TRIALS, epochs=9, seed=0)
    searcher = Searcher(oracle, Journal(journal))

    def maybe_die():
        if kills is not None and kills.random() < 0.3:
            raise KilledError

    stopped = set()
    while len(stopped) < workers:
        for worker in range(workers):
            asked = searcher.ask(str(worker))
            maybe_die()
            if asked == "stopped":
                stopped.add(worker)
            elif asked != "idle":
                searcher.tell(str(worker), asked.number, outcome_of(asked.values))
                maybe_die()
    return [(values, searcher.outcomes[number]) for number, values in enumerate(searcher.values)]


@pytest.mark.parametrize("method", METHODS)
def test_kills_change_nothing(tmp_path, method):
    undisturbed = searched(tmp_path / "whole", method)
    kills, deaths, found = random.Random(1), 0, None
    while found is None:
        try:
            found = searched(tmp_path / "killed", method, kills)
        except KilledError:
            deaths += 1
    assert deaths > 5
    assert found == undisturbed
    assert any(outcome.score is None for _, outcome in found), "no trial failed: the test is too easy"
    tried = [json.dumps(values) for values, _ in found]
    assert len(set(tried)) == len(tried)


def test_hyperband_trains_the_better_ones_longer(tmp_path):
    found = searched(tmp_path / "journal", "hyperband")
    epochs = [values["tuner/epochs"] for values, _ in found]
    assert set(epochs) >= {1, 3, 9}
    for values, _ in found:
        if values["tuner/round"]:
            assert found[int(values["tuner/trial_id"])][1].score is not None


@pytest.mark.parametrize("method", ["random", "hyperband"])
def test_a_dead_workers_trial_is_taken_over(tmp_path, method):
    oracle = make_oracle(method, hyperparameters(SPACE, DIGITS), direction="min", trials=5, epochs=9, seed=0)
    searcher = Searcher(oracle, Journal(tmp_path / "journal"))
    first, second = searcher.ask("a"), searcher.ask("b")
    assert first.number == 0
    assert second.number == 1
    searcher.lose("a")
    assert searcher.running() == {"b": 1}
    assert searcher.ask("c") == first
    again = Searcher(
        make_oracle(method, hyperparameters(SPACE, DIGITS), direction="min", trials=5, epochs=9, seed=0),
        Journal(tmp_path / "journal"),
    )
    assert again.running() == {"b": 1, "c": 0}


def test_a_line_that_a_kill_cut_has_not_happened(tmp_path):
    journal = Journal(tmp_path / "journal")
    for number in range(3):
        journal.append(Event("start", "a", number, {"values": {}}))
    whole = journal.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole)):
        journal.path.write_bytes(whole[:cut])
        events = Journal(journal.path).events
        assert len(events) == sum(len(b"".join(lines[:n])) <= cut for n in (1, 2, 3))
        Journal(journal.path).append(Event("idle", "b"))
        written = journal.path.read_bytes()
        assert written.startswith(b"".join(lines[: len(events)]))
        assert [event.kind for event in Journal(journal.path).events] == ["start"] * len(events) + ["idle"]
    journal.path.write_bytes(b"hello\n")
    with pytest.raises(RecipeError, match="line 1, is no event"):
        Journal(journal.path)


def test_the_journal_of_another_search_is_refused(tmp_path):
    searched(tmp_path / "journal", "random")
    oracle = make_oracle("random", hyperparameters(SPACE, DIGITS), direction="min", trials=TRIALS, epochs=9, seed=1)
    with pytest.raises(RecipeError, match="another search"):
        Searcher(oracle, Journal(tmp_path / "journal"))


def test_over_a_limit_is_worse_the_further():
    for direction, sign in (("max", 1), ("min", -1)):
        goal = Goal("val_x", direction, {"tflite_bytes": 100})
        scores = [goal.score(0.5, {"tflite_bytes": size}) for size in (100, 101, 200)]
        assert scores[0] == 0.5
        assert sign * scores[0] > sign * scores[1] > sign * scores[2]
        # However good, what is over the limit is worse than what is not.
        best = goal.score(0.99 if direction == "max" else 0.01, {"tflite_bytes": 101})
        worst = goal.score(0.01 if direction == "max" else 0.99, {"tflite_bytes": 99})
        assert sign * best < sign * worst


def test_measurements(finished):
    measured = measurements(finished.results)
    assert measured["parameters"] == finished.model.count_params()
    assert measured["bytes"] == measured["tflite_bytes"] == (finished.folder / "exports/model.tflite").stat().st_size
    assert measured["onnx_bytes"] == (finished.folder / "exports/model.onnx").stat().st_size
    assert measured["latency_ms"] == measured["tflite_latency_ms"] > 0


def test_the_front_has_what_no_other_beats():
    points = [(random.Random(n).random(), random.Random(n + 99).random()) for n in range(40)]
    front = tuning_page.pareto_front(points)
    for index, (cost, loss) in enumerate(points):
        beaten = any(c <= cost and l <= loss and (c, l) != (cost, loss) for c, l in points)  # noqa: E741
        assert (index in front) == (not beaten)


@pytest.fixture(scope="module")
def small_search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "tune"
    words = ["tune", "digits", "--trials", "2", *SMALL, "--limit", "tflite_bytes=4500", "--out", str(folder), "--json"]
    assert main(words) == 0
    return folder, words


def test_each_trial_is_a_run_like_any_other(small_search, capsys):
    folder, _ = small_search
    rows = json.loads((folder / "trials.json").read_text())
    assert len(rows) == 2
    for row in rows:
        stored = json.loads((folder / row["run"] / "results.json").read_text())
        config = json.loads((folder / row["run"] / "config.json").read_text())
        assert stored["metrics"] == row["test"]
        assert all(config["fields"][name] == value for name, value in row["fields"].items())
        size = next(file["bytes"] for file in stored["artifacts"] if file["format"] == "tflite")
        assert row["measured"]["tflite_bytes"] == size
        assert row["within"] == (size <= 4500)
        assert main(["bench", str(folder / row["run"]), "--json"]) == 0
    assert [row["within"] for row in rows] == sorted((row["within"] for row in rows), reverse=True)
    page = (folder / "tune.html").read_text(encoding="utf-8")
    assert all(f"{row['run']}/report.html" in page for row in rows)
    assert "seqzoo tune digits --trials 2" in page


def test_the_same_command_trains_nothing_again(small_search):
    folder, words = small_search
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")}
    journal = (folder / "journal.jsonl").read_bytes()
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("model.keras")} == before
    assert (folder / "journal.jsonl").read_bytes() == journal


def test_another_search_is_not_mixed_in(small_search, capsys):
    _, words = small_search
    capsys.readouterr()
    assert main([*words[:3], "4", *words[4:]]) == 2
    assert "has trials 2, not 4" in capsys.readouterr().err


def test_a_failing_trial_says_why(tmp_path):
    goal = Goal("val_loss", "min", {})
    fields = {"model": "crf_tagger", "epochs": 1}
    outcome = run_trial(DIGITS, fields, tmp_path / "run", tmp_path / "logs" / "0.txt", goal)
    assert outcome.score is None
    assert "digits can't use crf_tagger" in outcome.reason


def test_a_trial_that_is_killed_again_and_again_fails(tmp_path, monkeypatch):
    calls = []

    def call(words, log):
        calls.append(words)
        return -signal.SIGKILL

    monkeypatch.setattr("recipes.trials._call", call)
    outcome = run_trial(DIGITS, {}, tmp_path / "run", tmp_path / "log", Goal("val_loss", "min", {}))
    assert len(calls) == KILLED
    assert "killed 3 times by signal 9" in outcome.reason


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "hyperband", "grid", "bayesian"])
def test_sigkill_at_random_moments(tmp_path, method):
    fields = ["--trials", "5", "--method", method, "--epochs", "4", "--batch-size", "64"]
    fields += ["--space", "units=3,4,5", "cell=gru,simple_rnn"]

    def table(folder: Path) -> tuple[list[dict], list[float]]:
        rows = json.loads((folder / "trials.json").read_text())
        sizes = [row["measured"].pop("saved_model_bytes") for row in rows]
        for row in rows:
            row["measured"] = {name: size for name, size in row["measured"].items() if not name.endswith("_ms")}
        return rows, sizes

    start = time.monotonic()
    assert main(["tune", "digits", *fields, "--out", str(tmp_path / "whole")]) == 0
    # Of this machine, as busy as it is.
    seconds_a_trial = (time.monotonic() - start) / len(table(tmp_path / "whole")[0])
    command = [sys.executable, "-m", "recipes.cli", "tune", "digits", *fields, "--out", str(tmp_path / "killed")]
    moments, deaths = random.Random(0), 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            code = process.wait(moments.uniform(0.4, 1.6) * seconds_a_trial)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            deaths += 1
            continue
        assert code == 0
        break
    assert deaths > 1
    (killed, killed_sizes), (whole, whole_sizes) = table(tmp_path / "killed"), table(tmp_path / "whole")
    assert killed == whole
    # TensorFlow numbers the functions in it as the process went: a digit more or less after a kill.
    assert killed_sizes == pytest.approx(whole_sizes, abs=64)
    assert tuning.JOURNAL in {path.name for path in (tmp_path / "killed").iterdir()}
