"""A search by several processes or machines: KerasTuner's chief, which asks and tells, and its workers.

They talk through KerasTuner's own service. A trial's run stands in a folder that all of them see, so that another
worker goes on with it where a dead one stopped. KerasTuner's chief waits for ever for a worker that has died; ours
takes its trial away when it has not been heard of for a while.
"""

import contextlib
import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any
from unittest import mock

import grpc
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client
from keras_tuner.src.engine.trial import Trial

from recipes.errors import RecipeError
from recipes.searcher import Address, Asked, Outcome, Searcher

LEASE = 30.0
"""Seconds without a word after which a worker counts as dead."""
PATIENCE = 300.0
"""Seconds that a worker waits for a chief."""
_VALUES, _OUTCOME = "values", "outcome"
_ENVIRONMENT = threading.Lock()


class Chief:
    """What KerasTuner's service asks: an oracle, as far as the service knows."""

    def __init__(self, searcher: Searcher, changed: Callable[[], None], lease: float = LEASE) -> None:
        """Starts to count the silence of workers that had a trial when the chief before this one died.

        Args:
            searcher: Asks and tells.
            changed: Is called after each trial that ended.
            lease: Seconds without a word after which a worker counts as dead.
        """
        self._searcher, self._changed, self._lease = searcher, changed, lease
        self._lock = threading.Lock()
        self._heard = dict.fromkeys(searcher.running(), time.monotonic())
        self._over = False

    def create_trial(self, tuner_id: str) -> Trial:
        """Gives a worker a trial; one that asks again, since the answer was lost, gets the same."""
        with self._lock:
            asked = self._searcher.ask(tuner_id)
            # What another worker runs may still come back, should that worker die.
            if asked == "stopped" and not self._searcher.running():
                self._over = True
                self._heard.pop(tuner_id, None)
                return Trial(keras_tuner.HyperParameters(), "", "STOPPED")
            self._heard[tuner_id] = time.monotonic()
            if not isinstance(asked, Asked):
                return Trial(keras_tuner.HyperParameters(), "", "IDLE")
            return _packed(asked)

    def get_trial(self, trial_id: str) -> Trial:
        """A worker's sign of life while it runs a trial."""
        number = int(trial_id)
        with self._lock:
            for worker, running in self._searcher.running().items():
                if running == number:
                    self._heard[worker] = time.monotonic()
            return _packed(Asked(number, self._searcher.values[number]))

    def end_trial(self, trial: Trial) -> None:
        """Takes an outcome; of a trial that two workers have ended, since one was slow and not dead, the first."""
        number = int(trial.trial_id)
        with self._lock:
            running = {number: worker for worker, number in self._searcher.running().items()}
            if number in self._searcher.outcomes or not (number in running or self._searcher.is_lost(number)):
                return
            outcome = Outcome(**json.loads(trial.hyperparameters.values[_OUTCOME]))
            # Whom it was taken from, since nothing was heard, had it all the same: nobody needs to run it again.
            self._searcher.tell(running.get(number, ""), number, outcome)
            self._changed()

    def expire(self) -> list[str]:
        """Takes the trials of workers that have not been heard of.

        Returns:
            The workers that count as dead from now on.
        """
        with self._lock:
            late = time.monotonic() - self._lease
            dead = [worker for worker, heard in self._heard.items() if heard < late]
            for worker in dead:
                del self._heard[worker]
                if worker in self._searcher.running():
                    self._searcher.lose(worker)
            return dead

    def is_over(self) -> bool:
        """True once the search is over and every worker that is alive knows it."""
        with self._lock:
            return self._over and not self._heard


def serve(chief: Chief, address: Address, say: Callable[[str], None]) -> None:
    """Serves workers until the search is over.

    Args:
        chief: Answers.
        address: Where to listen.
        say: Is told of workers that died.

    Raises:
        RecipeError: The port is taken, or the host is not this machine's.
    """
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
    servicer = oracle_chief.OracleServicer(chief)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise RecipeError(f"cannot listen at {address}: is the port taken, the host another machine's?") from error
    server.start()
    try:
        while not chief.is_over():
            time.sleep(0.2)
            for worker in chief.expire():
                say(f"worker {worker} has not been heard of for {LEASE:g} s: its trial goes to the next who asks")
    finally:
        server.stop(grace=1).wait()


def work(name: str, address: Address, run: Callable[[Asked], Outcome], lease: float = LEASE) -> int:
    """Runs trials until the chief says that the search is over.

    Args:
        name: The worker's name; no two workers share one.
        address: Where the chief listens.
        run: Runs a trial.
        lease: The chief's.

    Returns:
        How many trials this worker has run.

    Raises:
        RecipeError: No chief answers.
    """
    client = _client(name, address)
    done = 0
    while True:
        trial = _answered(address, lambda: client.create_trial(name))
        if trial.status == "STOPPED":
            return done
        if trial.status == "IDLE":
            time.sleep(min(1.0, lease / 4))
            continue
        asked = Asked(int(trial.trial_id), json.loads(trial.hyperparameters.values[_VALUES]))
        with _signs_of_life(client, trial.trial_id, lease / 4):
            outcome = run(asked)
        trial.hyperparameters.Fixed(_OUTCOME, json.dumps(dataclasses.asdict(outcome)))
        trial.status = "FAILED" if outcome.score is None else "COMPLETED"
        _answered(address, lambda trial=trial: client.end_trial(trial))
        done += 1


def _packed(asked: Asked) -> Trial:
    # As a text: KerasTuner's messages hold numbers of 32 bits, and no tuples.
    parameters = keras_tuner.HyperParameters()
    parameters.Fixed(_VALUES, json.dumps(asked.values))
    return Trial(parameters, str(asked.number), "RUNNING")


def _client(name: str, address: Address) -> oracle_client.OracleClient:
    # KerasTuner reads these, and nothing else, when it makes a client.
    names = {"ORACLE_IP": address.host, "ORACLE_PORT": str(address.port), "TUNER_ID": name}
    oracle_client.TIMEOUT = PATIENCE
    with _ENVIRONMENT, mock.patch.dict(os.environ, {f"KERASTUNER_{key}": value for key, value in names.items()}):
        return oracle_client.OracleClient(None)


def _answered(address: Address, call: Callable[[], Any]) -> Any:
    """Calls a chief that may be killed in the middle of its answer and started again."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if time.monotonic() > end or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise RecipeError(f"no chief has answered at {address} for {PATIENCE:g} s") from error
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise RecipeError(f"the chief at {address} failed: {error.details()}") from error
            time.sleep(0.5)


@contextlib.contextmanager
def _signs_of_life(client: oracle_client.OracleClient, trial_id: str, every: float) -> Iterator[None]:
    done = threading.Event()

    def tell() -> None:
        while not done.wait(every):
            # A chief that is just being started again hears the next one.
            with contextlib.suppress(grpc.RpcError):
                client.get_trial(trial_id)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
