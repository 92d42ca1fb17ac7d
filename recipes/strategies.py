"""Several devices or machines train one model together: who takes part, and what they tell each other.

Each replica holds all weights, computes the gradients of its part of every batch, and adds its own to the others'.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.distribute import collective_all_reduce_strategy
from tensorflow.python.eager import context

from recipes.errors import RecipeError, UsageError, first_line
from recipes.fields import near_match
from recipes.machines import Machines, read_tf_config
from recipes.replica_variables import creator, next_seed

STRATEGIES = ("mirrored", "multi_worker")
JOIN_WITHIN = 600
"""Seconds that a process waits for the others at the start; a scheduler may start them minutes apart."""
LOOK_EVERY, ANSWER_WITHIN, LOOKS = 5, 5, 2
"""Seconds between two looks at the others, seconds in which each must answer, and how often it may fail to."""
_OF_PEERS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
    tf.errors.DeadlineExceededError,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Team:
    """The replicas that train one model together, some of them in this process.

    Attributes:
        strategy: TensorFlow's; None for one replica.
        worker: Which of the processes this one is; 0 is the chief, which alone writes files.
        workers: How many processes there are.
    """

    strategy: Any = None
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """How many replicas there are in all processes together."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    @property
    def here(self) -> int:
        """How many of them are in this process."""
        return self.replicas // self.workers

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.worker == 0

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Makes variables such that each replica has its copy."""
        if self.strategy is None:
            yield
            return
        with self.strategy.scope(), tf.variable_creator_scope(creator):
            yield

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Gives replicas different dropout, and says in one line if another process is gone.

        Raises:
            RecipeError: Another process has died, or can't be reached.
        """
        # Keras's generators have the same state in all replicas, so that a checkpoint needs to hold one.
        masks = mock.patch.object(keras.random.SeedGenerator, "next", next_seed)
        with masks if self.replicas > 1 else contextlib.nullcontext(), self.watched():
            yield

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Says in one line if another process is gone.

        Raises:
            RecipeError: Another process has died, or can't be reached.
        """
        try:
            yield
        except _OF_PEERS as error:
            if self.workers == 1:
                raise
            raise RecipeError(
                f"worker {self.worker} of {self.workers} stops: another worker is gone; "
                "start all of them again with --resume"
            ) from error

    def sum(self, tensors: Sequence[Any]) -> list[Any]:
        """Adds tensors up over all replicas; called by each of them.

        Args:
            tensors: This replica's; None stays None.

        Returns:
            The sums.
        """
        if self.strategy is None:
            return list(tensors)
        given = [tensor for tensor in tensors if tensor is not None]
        sums = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, given))
        return [None if tensor is None else next(sums) for tensor in tensors]

    def run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a function in each replica of this process.

        Args:
            step: The function.
            *arguments: Its arguments; a distributed iterator's elements go each to its replica.

        Returns:
            What the first of them returned.
        """
        if self.strategy is None:
            return step(*arguments)
        results = self.strategy.run(step, args=arguments)
        return tf.nest.map_structure(
            lambda result: self.strategy.experimental_local_results(result)[0], results, expand_composites=False
        )

    def told(self, value: int) -> list[int]:
        """Tells every process a number, and waits for theirs.

        Args:
            value: Of this process.

        Returns:
            The number of each.
        """
        if self.workers == 1:
            return [value]
        own = tf.one_hot(self.worker, self.workers, on_value=tf.constant(value, tf.int32), dtype=tf.int32)
        sums = tf.function(lambda: self.run(self.sum, [own]), autograph=False)()
        return [int(each) // self.here for each in np.asarray(sums[0])]

    def dataset(self, stream: Any) -> Any:
        """Hands a stream's elements to the replicas of this process in turn.

        Args:
            stream: Endless, an element a replica.

        Returns:
            What `iter` makes an iterator of for `run`.
        """
        if self.strategy is None:
            return stream
        return self.strategy.distribute_datasets_from_function(lambda _: stream)

    def check_batch(self, size: int, *, is_stream: bool) -> None:
        """Refuses a batch that the replicas can't share.

        Args:
            size: Examples in a batch; of a stream, places that are read side by side.
            is_stream: Whether it is a stream's.

        Raises:
            UsageError: There are too few of them.
        """
        if size < self.replicas:
            raise UsageError(f"{self.replicas} replicas can't share a batch of {size}: raise batch_size")
        if is_stream and size % self.replicas:
            raise UsageError(
                f"{self.replicas} replicas read a text at {size} places: make batch_size a multiple of {self.replicas}"
            )

    def leave(self) -> None:
        """Stops looking after the others, who may end now."""
        stop = getattr(getattr(self.strategy, "extended", None), "_check_health_thread_should_stop", None)
        if stop is not None:
            stop.set()

    def gathered(self, variables: Sequence[Any]) -> list[np.ndarray]:
        """Reads variables that each replica has for its own rows.

        Args:
            variables: (rows, ...) in each replica.

        Returns:
            (rows of all, ...), in the order of the replicas.
        """
        if self.strategy is None:
            return [keras.ops.convert_to_numpy(variable) for variable in variables]

        @tf.function(autograph=False)
        def read() -> list[Any]:
            each = self.strategy.run(lambda: [tf.convert_to_tensor(variable.value) for variable in variables])
            return [self.strategy.gather(value, axis=0) for value in each]

        return [np.asarray(array) for array in read()]

    def scatter(self, variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
        """Gives each replica its rows.

        Args:
            variables: (rows, ...) in each replica.
            arrays: (rows of all, ...), as `gathered` gives them.
        """

        @tf.function(autograph=False)
        def write() -> None:
            self.run(assign)

        def assign() -> None:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            for variable, array in zip(variables, arrays, strict=True):
                rows = variable.shape[0]
                variable.assign(tf.convert_to_tensor(array)[replica * rows : (replica + 1) * rows])

        write()


ALONE = Team()
"""One replica, the usual case."""


def assemble(name: str | None, say: Callable[[str], None]) -> Team:
    """Brings the replicas of a strategy together.

    Args:
        name: One of `STRATEGIES`, or None.
        say: Is told who takes part.

    Returns:
        The team.

    Raises:
        UsageError: An unknown strategy, or a TF_CONFIG that makes no sense.
        RecipeError: The other processes have not come, or TensorFlow was used before.
    """
    check_strategy(name)
    if name is None:
        return ALONE
    return _mirrored(say) if name == "mirrored" else _multi_worker(read_tf_config(), say)


def check_strategy(name: str | None) -> None:
    """Refuses a strategy that there is not.

    Args:
        name: One of `STRATEGIES`, or None.

    Raises:
        UsageError: It is neither.
    """
    if name is not None and name not in STRATEGIES:
        raise UsageError(f"unknown strategy {name!r}{near_match(name, STRATEGIES)}")


def _mirrored(say: Callable[[str], None]) -> Team:
    devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    if not devices:
        devices = [device.name for device in tf.config.list_logical_devices("CPU")]
        say(f"there is no GPU: mirrored trains on {len(devices)} CPU device{'s' if len(devices) > 1 else ''}")
    return Team(tf.distribute.MirroredStrategy(devices)) if len(devices) > 1 else ALONE


def _multi_worker(machines: Machines, say: Callable[[str], None]) -> Team:
    # The coordination service ends a process whose peer is gone by abort(), in the middle of anything. Without it
    # TensorFlow asks the others itself, and a dead one is an error here.
    context.context().configure_coordination_service(service_type="")
    kind = collective_all_reduce_strategy.CollectiveAllReduceExtended
    kind._check_health_interval, kind._check_health_timeout = LOOK_EVERY, ANSWER_WITHIN
    kind._check_health_retry_limit, kind._check_health_initial_timeout = LOOKS, JOIN_WITHIN
    # What it logs of a dead one, in many lines, is said in one by `watched`.
    tf.get_logger().addFilter(lambda record: "seems down" not in str(record.msg) and "alive" not in str(record.msg))
    say(f"worker {machines.index} of {len(machines.addresses)} at {machines.address}: waiting for the others")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.OpError) as error:
        raise RecipeError(_no_start(machines, error)) from error
    if strategy.num_replicas_in_sync == 1:
        return ALONE
    return Team(strategy, machines.index, len(machines.addresses))


def _no_start(machines: Machines, error: Exception) -> str:
    text = first_line(error)
    if "Timeout waiting" in text:
        return f"not all {len(machines.addresses)} workers of TF_CONFIG have come within {JOIN_WITHIN} s"
    if "startup" in text or "initialized" in text:
        return "multi_worker must be set up before TensorFlow is used: start a fresh process"
    return f"cannot listen at {machines.address}: is the port taken, the host another machine's? ({text})"
