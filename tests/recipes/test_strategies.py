"""Several replicas against one: the same curve, the same weights, whatever is killed in between."""

import csv
import re
import time
from pathlib import Path

import numpy as np
import pytest

from recipes.errors import UsageError
from recipes.strategies import Team
from tests.recipes.members import FREEZE, KILL, TERM, Moment, alone, options, workers

# The last batch of 149 is smaller and odd; the gradient is clipped in every step; no dropout, which replicas draw
# each for itself.
DIGITS = {"epochs": 3, "units": (6,), "dropout": 0.0, "batch_size": 200, "learning_rate": 0.02, "clip_norm": 0.1}
TEXT = {
    "epochs": 2,
    "units": (6,),
    "embedding": 4,
    "window": 16,
    "batch_size": 8,
    "dropout": 0.0,
    "learning_rate": 0.02,
}
STEPS = 6
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


def digits(folder: Path, *more: str, **fields) -> list[str]:
    return ["run", "digits", "--out", str(folder), *options(DIGITS | fields), *more]


def curve(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def assert_same_curve(one: Path, other: Path, **tolerance) -> None:
    left, right = curve(one), curve(other)
    assert len(left) == len(right)
    for row, wanted in zip(left, right, strict=True):
        assert list(row) == list(wanted)
        np.testing.assert_allclose(list(row.values()), list(wanted.values()), **(tolerance or CLOSE))


def assert_close(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, **CLOSE)


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One device, whose curve all others must have: mirrored where there is no second."""
    folder = tmp_path_factory.mktemp("single")
    member = alone(digits(folder / "run", "--strategy", "mirrored"), folder / "process")
    assert member.join() == 0, member.said
    assert member.said[0] == "there is no GPU: mirrored trains on 1 CPU device"
    return folder / "run", member.weights


def test_mirrored_on_two_devices_is_one_device(tmp_path, single):
    member = alone(digits(tmp_path / "run", "--strategy", "mirrored"), tmp_path / "process", devices=2)
    assert member.join() == 0, member.said
    assert member.said[0] == "there is no GPU: mirrored trains on 2 CPU devices"
    assert any("CPU" in line and "2 replicas" in line for line in member.said)
    assert_same_curve(tmp_path / "run", single[0])
    assert_close(member.weights, single[1])


@pytest.mark.slow
def test_mirrored_reads_a_text_as_one_device_does(tmp_path):
    text = tmp_path / "text.txt"
    rng = np.random.default_rng(0)
    text.write_text(" ".join(rng.choice(["the", "cat", "sat", "on", "a", "mat", "and", "ran"], 900)) + "\n")
    words = ["run", "language_model", "--text", str(text), *options(TEXT)]
    both = [
        alone([*words, "--out", str(tmp_path / "one")], tmp_path / "a"),
        alone([*words, "--out", str(tmp_path / "two"), "--strategy", "mirrored"], tmp_path / "b", devices=2),
    ]
    for member in both:
        assert member.join() == 0, member.said
    assert_same_curve(tmp_path / "two", tmp_path / "one")
    assert_close(both[1].weights, both[0].weights)


class Three(Team):
    replicas = 3


def test_a_batch_that_can_not_be_shared_is_refused():
    Three().check_batch(4, is_stream=False)
    with pytest.raises(UsageError, match="3 replicas can't share a batch of 2: raise batch_size"):
        Three().check_batch(2, is_stream=False)
    with pytest.raises(UsageError, match="3 replicas read a text at 4 places: make batch_size a multiple of 3"):
        Three().check_batch(4, is_stream=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two workers, undisturbed."""
    folder = tmp_path_factory.mktemp("pair")
    team = workers(digits(folder / "run"), folder, 2)
    for member in team:
        assert member.join() == 0, member.said
    return folder / "run", team


def test_two_workers_are_one_process(pair, single):
    folder, team = pair
    assert_same_curve(folder, single[0])
    assert_close(team[0].weights, single[1])
    assert_same(team[1].weights, team[0].weights)
    assert team[1].said[-1] == "worker 1 of 2 is done; the chief writes the files"
    assert not any(line.startswith("epoch") for line in team[1].said)
    assert sum(line.startswith("epoch") for line in team[0].said) == DIGITS["epochs"]


@pytest.mark.parametrize("victim", [pytest.param(0, id="chief"), pytest.param(1, id="worker", marks=pytest.mark.slow)])
def test_a_killed_worker_ends_the_others_and_all_go_on(tmp_path, pair, victim):
    moment = {victim: Moment(STEPS + 3, KILL)}
    team = workers(digits(tmp_path / "run"), tmp_path, 2, moment)
    assert team[victim].join() == -KILL
    start = time.monotonic()
    other = team[1 - victim]
    assert other.join(60) == 1
    assert time.monotonic() - start < 30
    assert other.said[-1] == (
        f"error: worker {1 - victim} of 2 stops: another worker is gone; start all of them again with --resume"
    )
    assert len(curve(tmp_path / "run")) == 1

    again = workers(digits(tmp_path / "run", "--resume"), tmp_path / "again", 2)
    for member in again:
        assert member.join() == 0, member.said
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == (pair[0] / "metrics.csv").read_bytes()
    for member in again:
        assert_same(member.weights, pair[1][0].weights)


@pytest.mark.slow
def test_sigterm_to_one_worker_saves_the_step_for_all(tmp_path, pair):
    team = workers(digits(tmp_path / "run"), tmp_path, 2, {1: Moment(STEPS + 2, TERM)})
    for member in team:
        assert member.join() == 143, member.said
        assert re.fullmatch(
            r"stopped; go on with: seqzoo run digits .* --strategy multi_worker --resume", member.said[-1]
        )
    again = workers(digits(tmp_path / "run", "--resume"), tmp_path / "again", 2)
    for member in again:
        assert member.join() == 0, member.said
    assert any(re.fullmatch(r"going on after epoch 1 of 3, step \d of 6", line) for line in again[0].said)
    assert_same_curve(tmp_path / "run", pair[0])
    assert_close(again[0].weights, pair[1][0].weights)
    assert_same(again[1].weights, again[0].weights)


def test_the_chief_says_why_it_could_not_begin(tmp_path, pair):
    team = workers(digits(pair[0]), tmp_path, 2)
    assert [member.join(60) for member in team] == [1, 1]
    assert team[0].said[-1].endswith("exists; --resume goes on with its run, --overwrite throws it away")
    assert team[1].said[-1] == "error: worker 1 of 2 stops: the chief could not begin"


@pytest.mark.slow
def test_four_workers_killed_again_and_again(tmp_path, single):
    team = workers(digits(tmp_path / "whole"), tmp_path / "whole-team", 4)
    for member in team:
        assert member.join() == 0, member.said
        assert_same(member.weights, team[0].weights)
    assert_same_curve(tmp_path / "whole", single[0])
    assert_close(team[0].weights, single[1])

    moments = np.random.default_rng(0)
    for kill in range(3):
        victim, step = int(moments.integers(4)), int(moments.integers(1, STEPS + 1))
        words = digits(tmp_path / "run", *(["--resume"] if kill else []))
        broken = workers(words, tmp_path / f"kill{kill}", 4, {victim: Moment(step, KILL)})
        assert sorted(member.join() for member in broken) == [-KILL, 1, 1, 1]
    last = workers(digits(tmp_path / "run", "--resume"), tmp_path / "last", 4)
    for member in last:
        assert member.join() == 0, member.said
        assert_same(member.weights, team[0].weights)
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


@pytest.mark.slow
def test_a_frozen_worker_does_not_hold_the_others_for_ever(tmp_path):
    team = workers(digits(tmp_path / "run"), tmp_path, 2, {1: Moment(3, FREEZE)})
    try:
        assert team[0].join(90) == 1
        assert "another worker is gone" in team[0].said[-1]
    finally:
        team[1].process.kill()
        team[1].process.join()


@pytest.mark.slow
def test_what_was_trained_by_two_goes_on_with_one(tmp_path, single):
    team = workers(digits(tmp_path / "run"), tmp_path, 2, {0: Moment(STEPS + 2, TERM)})
    assert [member.join() for member in team] == [143, 143]
    member = alone(digits(tmp_path / "run", "--resume"), tmp_path / "alone")
    assert member.join() == 0, member.said
    assert_same_curve(tmp_path / "run", single[0])
    assert_close(member.weights, single[1])
