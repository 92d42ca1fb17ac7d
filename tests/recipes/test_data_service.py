"""Batches from other processes: the same run, also when one of them is killed."""

import queue

import numpy as np
import pytest

from recipes import cli, data_service
from recipes.data_service import in_order
from recipes.errors import RecipeError, UsageError
from tests.recipes.members import KILL, Member, Moment, alone, options
from tests.recipes.small import FIELDS

STEPS = 6


def delivered(*arrivals):
    """What `in_order` waits on; `None` stands for a wait in vain."""
    waiting = iter(arrivals)
    return lambda seconds: next(waiting, None)


def own(position: int) -> str:
    return f"own {position}"


def test_batches_come_in_order_and_once():
    arriving = delivered((1, "b"), (2, "c"), (0, "a"), (0, "again"), (3, "d"))
    assert list(in_order(arriving, range(4), own, pytest.fail)) == ["a", "b", "c", "d"]


def test_a_lost_batch_is_made_here():
    said = []
    arriving = delivered((0, "a"), (2, "c"), None, (3, "d"), (1, "late"), (4, "e"))
    assert list(in_order(arriving, range(5), own, said.append)) == ["a", "own 1", "c", "d", "e"]
    assert said == ["the data service is silent: batches are made here meanwhile"]


def test_no_more_is_held_than_so_many_batches():
    arriving = queue.SimpleQueue()
    for position in range(1, 200):
        arriving.put((position, f"{position}"))
    batches = list(in_order(lambda seconds: arriving.get_nowait(), range(199), own, pytest.fail))
    assert batches == ["own 0", *map(str, range(1, 199))]


@pytest.mark.parametrize("service", ["localhost", "grpc://", "grpc://a:b", "http://a:1", "a:0", "grpc://a:70000"])
def test_no_address(service):
    with pytest.raises(UsageError, match="a data service reads like grpc://HOST:PORT; got"):
        data_service.address_of(service)


def test_nobody_answers(tmp_path, capfd):
    with pytest.raises(RecipeError, match="no data service answers at localhost:1: Connection refused"):
        data_service.reach("grpc://localhost:1")
    words = ["run", "digits", "--out", str(tmp_path / "run"), "--data-service", "localhost:1"]
    assert cli.main(words) == 1
    assert "no data service answers" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
    assert cli.main(["data-service", "worker"]) == 2
    assert "a worker needs --dispatcher" in capfd.readouterr().err


@pytest.fixture
def service(tmp_path):
    """A dispatcher and two workers: the address, the workers."""
    dispatcher = Member(["data-service", "dispatcher"], tmp_path / "dispatcher", {})
    address = dispatcher.started("dispatcher at ").split()[2].rstrip(";")
    workers = [
        Member(["data-service", "worker", "--dispatcher", address.removeprefix("grpc://")], tmp_path / name, {})
        for name in ("one", "two")
    ]
    for worker in workers:
        worker.started("worker of")
    yield address, workers
    for member in (*workers, dispatcher):
        if member.process.is_alive():
            member.process.terminate()
            assert member.join(60) == 143, "SIGTERM ends it cleanly"


def test_a_run_whose_batches_come_from_workers_of_which_one_is_killed(tmp_path, service):
    address, workers = service
    words = ["run", "digits", *options(FIELDS), "--out"]
    plain = alone([*words, str(tmp_path / "plain")], tmp_path / "a")
    assert plain.join() == 0, plain.said
    kill = Moment(STEPS + 1, KILL, process=workers[0].process.pid)
    served = alone([*words, str(tmp_path / "served"), "--data-service", address], tmp_path / "b", moment=kill)
    assert served.join() == 0, served.said
    assert workers[0].join(10) == -KILL
    # An epoch came from the service; a step that the killed one had in hand may have been waited for in vain.
    assert not any("silent" in line for line in served.said[: served.said.index(served.started("epoch 1/3"))])
    assert (tmp_path / "served" / "metrics.csv").read_bytes() == (tmp_path / "plain" / "metrics.csv").read_bytes()
    for one, other in zip(served.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_service_whose_workers_are_all_killed_is_done_without(tmp_path, service):
    address, workers = service
    words = ["run", "digits", *options(FIELDS), "--out", str(tmp_path / "served"), "--data-service", address]
    for worker in workers:
        worker.process.kill()
    again = alone(words, tmp_path / "b")
    assert again.join() == 0, again.said
    assert "the data service is silent: batches are made here meanwhile" in again.said
    plain = alone(["run", "digits", *options(FIELDS), "--out", str(tmp_path / "plain")], tmp_path / "a")
    assert plain.join() == 0
    assert (tmp_path / "served" / "metrics.csv").read_bytes() == (tmp_path / "plain" / "metrics.csv").read_bytes()
