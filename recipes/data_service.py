"""Batches made by other processes or machines: tf.data's service, for when a step waits for its batch.

The service carries graphs, and a recipe's batches are made in Python. So the graph that travels says only which recipe,
with which settings, and which step; its one Python call is answered by what `seqzoo data-service worker` has registered
under the same name, with the recipe's data in its own memory. The augmentation follows in the graph.

Each step goes to one worker. Steps come back in any order, and those of a worker that died not at all: the run puts
them in order, and makes the missing ones itself. So a run with the service is the run without, whatever dies.
"""

import functools
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import script_ops

from recipes import pipelines
from recipes.data import Batch, Data, Stream
from recipes.errors import RecipeError, UsageError
from recipes.recipe import RecipeConfig
from recipes.settings import content_of, recipe_of

CALL = "seqzoo_batch"
"""The name that the Python call has in every process."""
AHEAD = 32
"""Batches that may be there before one that is missing; then it counts as lost."""
FIRST_WITHIN, NEXT_WITHIN = 120.0, 10.0
"""Seconds in which the service's first batch must come (a worker has to read the data), and any later one."""


def address_of(service: str) -> str:
    """Reads where a service is.

    Args:
        service: `"grpc://HOST:PORT"`, or without `grpc://`.

    Returns:
        HOST:PORT.

    Raises:
        UsageError: It is neither.
    """
    address = service.removeprefix("grpc://")
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"a data service reads like grpc://HOST:PORT; got {service!r}")
    return address


def reach(service: str) -> str:
    """Makes sure that somebody listens.

    Args:
        service: As `address_of` takes it.

    Returns:
        HOST:PORT.

    Raises:
        UsageError: It is no address.
        RecipeError: Nobody listens there.
    """
    address = address_of(service)
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=NEXT_WITHIN).close()
    except OSError as error:
        raise RecipeError(f"no data service answers at {address}: {error.strerror or error}") from error
    return address


def start_dispatcher(port: int) -> Any:
    """Starts what hands steps to workers.

    Args:
        port: Where it listens; any free one if 0.

    Returns:
        The server, which works until it is deleted.

    Raises:
        RecipeError: The port is taken.
    """
    try:
        return tf.data.experimental.service.DispatchServer(
            tf.data.experimental.service.DispatcherConfig(port=port, worker_timeout_ms=10_000)
        )
    except (tf.errors.OpError, RuntimeError) as error:
        raise RecipeError(f"cannot listen at port {port}: is it taken?") from error


def start_worker(dispatcher: str, host: str, port: int) -> Any:
    """Starts what makes batches.

    Args:
        dispatcher: HOST:PORT of the dispatcher.
        host: The name by which the run's machine reaches this one.
        port: Where it listens; any free one if 0.

    Returns:
        The server, which works until it is deleted.

    Raises:
        RecipeError: The port is taken, or no dispatcher answers.
    """
    # Known by this name in the process's registry, as `tf.numpy_function` would do under a name of its own.
    script_ops._py_funcs._funcs[CALL] = _answer
    config = tf.data.experimental.service.WorkerConfig(
        dispatcher_address=reach(dispatcher), worker_address=f"{host}:%port%", port=port, heartbeat_interval_ms=1000
    )
    try:
        return tf.data.experimental.service.WorkerServer(config)
    except (tf.errors.OpError, RuntimeError) as error:
        raise RecipeError(f"cannot listen at port {port}: is it taken?") from error


def _answer(request: bytes, position: np.ndarray) -> list[np.ndarray]:
    """A batch, its arrays in order."""
    maker = _maker(request)
    return tf.nest.flatten(maker(int(position)))


@functools.lru_cache(maxsize=2)
def _maker(request: bytes) -> Callable[[int], Batch]:
    content = json.loads(request)
    recipe = recipe_of(content)
    return _batches(recipe, recipe.load_data())


def _batches(recipe: RecipeConfig, data: Data) -> Callable[[int], Batch]:
    """A function from the step, counted over all epochs, to its batch, before augmentation."""
    steps = pipelines.steps_per_epoch(data.train, recipe.batch_size)
    order = functools.lru_cache(maxsize=2)(
        lambda epoch: pipelines.epoch_plan(data.train, recipe.batch_size, np.random.default_rng([recipe.seed, epoch]))
    )

    def make(position: int) -> Batch:
        epoch, step = divmod(position, steps)
        inputs, targets, weights = order(epoch)[step]()
        return (inputs, targets) if weights is None else (inputs, targets, weights)

    return make


def served_batches(
    recipe: RecipeConfig, data: Data, positions: range, service: str, say: Callable[[str], None]
) -> Iterator[Batch]:
    """Gets batches from a service, in order, each once.

    Args:
        recipe: Whose batches.
        data: The recipe's; makes those that the service loses.
        positions: Which steps, counted over all epochs.
        service: HOST:PORT of the dispatcher.
        say: Is told when the service says nothing any more.

    Yields:
        Inputs, targets and weights if there are any, augmented.
    """
    make = _batches(recipe, data)
    augment = pipelines.augmented(data.augment, recipe.seed) if data.augment is not None else lambda _, batch: batch
    here = tf.function(augment, autograph=False, reduce_retracing=True)

    def own(position: int) -> Batch:
        return tf.nest.map_structure(np.asarray, here(tf.constant(position, tf.int64), make(position)))

    arriving = _arrivals(_served(recipe, data, positions, service, augment))
    yield from in_order(arriving, positions, own, say)


def in_order(
    arriving: Callable[[float], tuple[int, Batch] | None],
    positions: range,
    own: Callable[[int], Batch],
    say: Callable[[str], None],
) -> Iterator[Batch]:
    """Puts batches in order, and makes those that don't come.

    Args:
        arriving: Waits so many seconds at most for the next position and its batch; None if none came.
        positions: The positions wanted.
        own: Makes a batch here.
        say: Is told when nothing comes any more.

    Yields:
        The batch of each position.
    """
    early: dict[int, Batch] = {}
    patience = FIRST_WITHIN
    for position in positions:
        while position not in early and len(early) < AHEAD:
            arrived = arriving(patience)
            if arrived is None:
                if patience:
                    say("the data service is silent: batches are made here meanwhile")
                patience = 0.0
                break
            patience = NEXT_WITHIN
            if arrived[0] >= position:
                early[arrived[0]] = arrived[1]
        yield early.pop(position) if position in early else own(position)


def _served(recipe: RecipeConfig, data: Data, positions: range, service: str, augment: Any) -> Any:
    """A dataset of (position, batch) that the service's workers make."""
    rows = recipe.batch_size if isinstance(data.train, Stream) else None
    signature = pipelines.signature(data.train, rows)
    flat = tf.nest.flatten(signature)
    request = json.dumps(content_of(recipe)).encode()

    def make(position: Any) -> tuple[Any, Any]:
        arrays = tf.raw_ops.PyFunc(input=[request, position], token=CALL, Tout=[spec.dtype for spec in flat])
        for array, spec in zip(arrays, flat, strict=True):
            array.set_shape(spec.shape)
        return position, augment(position, tf.nest.pack_sequence_as(signature, arrays))

    sharding = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    stream = tf.data.Dataset.range(positions.start, positions.stop).map(make, num_parallel_calls=2)
    return stream.apply(tf.data.experimental.service.distribute(sharding, f"grpc://{service}"))


def _arrivals(stream: Any) -> Callable[[float], tuple[int, Batch] | None]:
    """Reads a dataset in a thread, since nothing tells how long its next element will take."""
    arrived: queue.Queue[tuple[int, Batch]] = queue.Queue(maxsize=4)

    def read() -> None:
        try:
            for position, batch in stream:
                arrived.put((int(position), tf.nest.map_structure(lambda tensor: tensor.numpy(), batch)))
        except tf.errors.OpError:
            return  # what is missing is made by the run itself

    threading.Thread(target=read, daemon=True).start()

    def wait(seconds: float) -> tuple[int, Batch] | None:
        try:
            return arrived.get(timeout=seconds) if seconds else arrived.get_nowait()
        except queue.Empty:
            return None

    return wait
