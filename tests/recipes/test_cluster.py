"""A chief and its workers: every trial runs once, a dead worker's goes to another, a chief comes back."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import recipes
from recipes import cluster
from recipes.cli import main
from recipes.errors import RecipeError, UsageError
from recipes.files import sole_use
from recipes.journal import Journal
from recipes.search_settings import roles
from recipes.search_space import fields_of_trial, hyperparameters, search_space
from recipes.searcher import Address, Asked, Outcome, Searcher, make_oracle

DIGITS = recipes.get_recipe("digits")
SPACE = search_space(DIGITS, {"units": [(4,), (8,), (16,)], "learning_rate": (1e-4, 1e-2)}, ("dropout", "cell"))
LEASE = 0.6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def searcher(journal, trials: int = 12) -> Searcher:
    oracle = make_oracle("random", hyperparameters(SPACE, DIGITS), direction="min", trials=trials, epochs=9, seed=0)
    return Searcher(oracle, Journal(journal))


def outcome(asked: Asked) -> Outcome:
    fields = fields_of_trial(SPACE, asked.values)
    return Outcome(fields["learning_rate"] * sum(fields["units"]), details={"lr": fields["learning_rate"]})


class Served:
    """A chief in a thread."""

    def __init__(self, journal, port: int, monkeypatch=None):
        self.address, self.said = Address("127.0.0.1", port), []
        self.searcher = searcher(journal)
        self.chief = cluster.Chief(self.searcher, lambda: None, LEASE)
        self.thread = threading.Thread(target=cluster.serve, args=(self.chief, self.address, self.said.append))
        self.thread.start()

    def join(self):
        self.thread.join(30)
        assert not self.thread.is_alive()


def test_workers_share_the_trials(tmp_path):
    served = Served(tmp_path / "journal", free_port())
    ran: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    def run(name):
        def trial(asked):
            ran[name].append(asked.number)
            time.sleep(0.02)
            return outcome(asked)

        cluster.work(name, served.address, trial, LEASE)

    threads = [threading.Thread(target=run, args=(name,)) for name in ran]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    served.join()
    assert sorted(number for numbers in ran.values() for number in numbers) == list(range(12))
    # Values travel whole: a number of 32 bits would not be the same.
    for number, found in served.searcher.outcomes.items():
        assert found == outcome(Asked(number, served.searcher.values[number]))


def test_a_worker_that_falls_silent_loses_its_trial(tmp_path):
    served = Served(tmp_path / "journal", free_port())
    client = cluster._client("dead", served.address)
    assert client.create_trial("dead").trial_id == "0"
    ran = []
    cluster.work("alive", served.address, lambda asked: ran.append(asked.number) or outcome(asked), LEASE)
    served.join()
    assert sorted(ran) == list(range(12))
    assert [line for line in served.said if "dead" in line]
    kinds = [event.kind for event in Journal(tmp_path / "journal").events]
    assert kinds.count("lost") == 1


def test_a_slow_worker_that_gives_signs_of_life_keeps_its_trial(tmp_path):
    served = Served(tmp_path / "journal", free_port())

    def slow(asked):
        time.sleep(2.5 * LEASE if asked.number == 0 else 0)
        return outcome(asked)

    assert cluster.work("slow", served.address, slow, LEASE) == 12
    served.join()
    assert "lost" not in {event.kind for event in Journal(tmp_path / "journal").events}


def test_an_outcome_that_comes_twice_counts_once(tmp_path):
    chief = cluster.Chief(searcher(tmp_path / "journal"), lambda: None)
    trial = chief.create_trial("a")
    for score in (1.0, 2.0):
        trial.hyperparameters.values["outcome"] = json.dumps({"score": score, "reason": "", "details": {}})
        chief.end_trial(trial)
    assert chief._searcher.outcomes[0].score == 1.0


def test_an_outcome_that_comes_late_is_not_made_again(tmp_path):
    chief = cluster.Chief(searcher(tmp_path / "journal"), lambda: None, LEASE)
    trial = chief.create_trial("slow")
    time.sleep(LEASE * 1.2)
    assert chief.expire() == ["slow"]
    trial.hyperparameters.values["outcome"] = json.dumps({"score": 1.0, "reason": "", "details": {}})
    chief.end_trial(trial)
    assert chief._searcher.outcomes[0].score == 1.0
    assert chief.create_trial("other").trial_id == "1"
    # A chief that comes after this one reads the same.
    assert cluster.Chief(searcher(tmp_path / "journal"), lambda: None)._searcher.running() == {"other": 1}


def test_a_new_chief_knows_who_runs_what(tmp_path):
    first = cluster.Chief(searcher(tmp_path / "journal"), lambda: None)
    trial = first.create_trial("a")
    second = cluster.Chief(searcher(tmp_path / "journal"), lambda: None, LEASE)
    assert second.create_trial("a").trial_id == trial.trial_id
    time.sleep(LEASE * 1.2)
    assert second.expire() == ["a"]
    assert second.create_trial("b").trial_id == trial.trial_id


def test_no_chief_no_search(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    with pytest.raises(RecipeError, match="no chief has answered at 127"):
        cluster.work("a", Address("127.0.0.1", free_port()), outcome)


def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = Address("127.0.0.1", other.getsockname()[1])
        with pytest.raises(RecipeError, match="cannot listen at"):
            cluster.serve(cluster.Chief(searcher(tmp_path / "journal"), lambda: None), address, print)


@pytest.mark.parametrize(
    ("chief", "worker", "message"),
    [
        (None, "a", "worker 'a' needs a chief"),
        ("here", None, "reads like 10.0.0.1:9000; got 'here'"),
        ("here:99999", None, "reads like"),
        (":80", None, "reads like"),
    ],
)
def test_wrong_roles(chief, worker, message):
    with pytest.raises(UsageError, match=message):
        roles(chief, worker)


def test_keras_tuners_variables_serve_too(monkeypatch):
    for name, value in {"ORACLE_IP": "10.0.0.1", "ORACLE_PORT": "9000", "TUNER_ID": "chief"}.items():
        monkeypatch.setenv(f"KERASTUNER_{name}", value)
    assert roles(None, None) == (Address("10.0.0.1", 9000), None)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner7")
    assert roles(None, None) == (Address("10.0.0.1", 9000), "tuner7")


def test_a_folder_in_use_is_left_alone(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    with sole_use(folder, wait=False):
        assert main(["run", "digits", "--out", str(folder), "--resume"]) == 1
        assert "is in use by another process" in capsys.readouterr().err
    with sole_use(folder, wait=False):
        pass


@pytest.mark.slow
def test_one_chief_three_workers_one_killed(tmp_path):
    port, folder = free_port(), tmp_path / "tune"
    words = ["tune", "digits", "--trials", "6", "--epochs", "2", "--space", "units=3,4,5", "cell=gru,simple_rnn"]
    words += ["--out", str(folder), "--chief", f"127.0.0.1:{port}"]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}

    def start(*more):
        return subprocess.Popen([sys.executable, "-m", "recipes.cli", *words, *more], env=environment)

    chief = start()
    workers = [start("--worker", name) for name in ("a", "b", "c")]
    journal = folder / "journal.jsonl"
    while not journal.exists() or b'"worker": "b"' not in journal.read_bytes():
        time.sleep(0.2)
    os.kill(workers[1].pid, signal.SIGKILL)
    chief.send_signal(signal.SIGKILL)
    chief.wait()
    chief = start()
    assert chief.wait(500) == 0
    assert [worker.wait(60) for worker in (workers[0], workers[2])] == [0, 0]
    rows = json.loads((folder / "trials.json").read_text())
    assert sorted(row["trial"] for row in rows) == list(range(6))
    assert not any(row["reason"] for row in rows)
    assert b'"kind": "lost", "worker": "b"' in journal.read_bytes()
