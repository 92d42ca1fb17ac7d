"""Step time against the number of workers: measured on this machine, computed beyond.

    python -m benchmarks.scaling --workers 1 2 4      # measures: so many processes of `--strategy multi_worker`
    python -m benchmarks.scaling --table              # computes the tables of docs/scaling.md

Measured is what `seqzoo run --strategy multi_worker` does: a step of a character model's training, the global batch
the same for every number of workers, and the sum over the workers alone, of as many bytes as the gradient has.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.interleaved import table

BATCH, WINDOW, VOCABULARY, UNITS = 64, 32, 64, 256
LINKS = {"1 Gbit/s, 100 us": (0.125e9, 100e-6), "25 Gbit/s, 20 us": (3.1e9, 20e-6), "NVLink, 5 us": (200e9, 5e-6)}
"""Name -> bytes a second, seconds a message."""
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def all_reduce_seconds(workers: int, size: float, bandwidth: float, latency: float) -> float:
    """Time of a ring all-reduce (Patarasu & Yuan 2009, doi:10.1016/j.jpdc.2008.09.002).

    Args:
        workers: N; each sends and receives 2 (N - 1) pieces of size / N bytes.
        size: Bytes of the gradient.
        bandwidth: Bytes a second of each worker's link.
        latency: Seconds a message.

    Returns:
        2 (N - 1) / N * size / bandwidth + 2 (N - 1) * latency.
    """
    return 2 * (workers - 1) * (size / workers / bandwidth + latency)


def step_seconds(workers: int, rows: float, fixed: float, each: float, size: float, link: tuple[float, float]) -> float:
    """Time of a step.

    Args:
        workers: N.
        rows: Of the whole batch.
        fixed: Seconds that a step takes for any number of rows: the steps through time follow one another.
        each: Seconds for each row.
        size: Bytes of the gradient.
        link: Bytes a second, seconds a message.

    Returns:
        fixed + each * rows / N + the all-reduce's.
    """
    return fixed + each * rows / workers + all_reduce_seconds(workers, size, *link)


def computed() -> str:
    """The computed tables: a GRU of 1,024 units over 128 steps, 9.5 million weights, on one GPU a worker."""
    # 128 steps forwards and as many back, 20 us each: what a kernel takes that has nothing to do. 15 us a row.
    fixed, each, size = 2 * 128 * 20e-6, 15e-6, 9.5e6 * 4
    lines = []
    for title, rows in (
        ("The same batch of 1,024 rows for all", lambda _: 1024),
        ("128 rows for each worker", lambda n: 128 * n),
    ):
        body = []
        for count in COUNTS:
            times = [step_seconds(count, rows(count), fixed, each, size, link) for link in LINKS.values()]
            alone = step_seconds(1, rows(count), fixed, each, size, (1.0, 0.0))
            body.append([count, rows(count), *(f"{1e3 * t:.1f} ms, {alone / t:.1f}x" for t in times)])
        lines += [f"{title}:\n", table(["workers", "batch", *LINKS], body), ""]
    return "\n".join(lines)


def measured(counts: list[int], steps: int) -> str:
    """Starts so many workers on this machine and collects what they measure."""
    rows = []
    for count in counts:
        with_ports = [_free_port() for _ in range(count)]
        cluster = {"worker": [f"127.0.0.1:{port}" for port in with_ports]}
        members = []
        for index in range(count):
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            environment = os.environ | {"TF_CONFIG": config, "TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [sys.executable, "-m", "benchmarks.scaling", "--member", "--steps", str(steps)]
            members.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        said = [member.communicate()[0] for member in members]
        found = json.loads(said[0].splitlines()[-1])
        times = [f"{found[name]:.1f}" for name in ("step", "own", "sum")]
        rows.append([count, f"{BATCH} / {count}", *times, found["bytes"]])
    return table(["workers", "rows each", "step ms", "processor ms", "sum ms", "gradient bytes"], rows)


def member(steps: int) -> dict[str, float]:
    """One worker: the fastest of some steps, of training and of the sum alone."""
    import keras
    import numpy as np
    import tensorflow as tf

    import zoo
    from recipes import bptt, fit_loop, interruption, strategies
    from recipes.recipe import Objective

    tf.config.threading.set_intra_op_parallelism_threads(1)
    team = strategies.assemble("multi_worker", lambda line: None)
    rows = BATCH // team.replicas
    model = zoo.create_model("language_model", vocabulary=VOCABULARY, units=(UNITS,), cell="gru", embedding=32)
    with team.scope():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        objective = Objective(loss, (), "val_loss", "min")
        twin = bptt.carrying(model, rows)
        _compile(twin, team, objective)
    ids = np.random.default_rng(team.worker).integers(1, VOCABULARY, (rows, WINDOW)).astype("int32")
    batch = (ids, ids)
    stream = tf.data.Dataset.from_tensors(batch if team.strategy is None else (batch, tf.ones([rows]))).repeat()
    loop = fit_loop.FitLoop(twin, objective.loss, team, interruption.Stop())
    batches = iter(team.dataset(stream))
    size = sum(int(np.prod(variable.shape)) for variable in twin.trainable_variables)
    gradient = tf.ones([size])
    add = tf.function(lambda: team.run(team.sum, [gradient]), autograph=False)
    with team.at_work():
        step, own = _fastest(lambda: loop.train(batches, range(1), lambda: None), steps)
        total, _ = _fastest(add, steps)
    return {"step": 1e3 * step, "own": 1e3 * own, "sum": 1e3 * total, "bytes": 4 * size}


def _compile(model: Any, team: Any, objective: Any) -> None:
    import recipes
    from recipes import training

    recipe = recipes.get_recipe("language_model")
    optimizer = training.make_optimizer(recipe, 1000, team)
    model.compile(optimizer, loss=objective.loss, jit_compile=False)
    optimizer.build(model.trainable_variables)


def _fastest(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Seconds on the wall, and of this process's processors, which other processes' work doesn't lengthen."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    walls, owns = zip(*times, strict=True)
    return min(walls), min(owns)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measures or computes, and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4], help="processes on this machine")
    parser.add_argument("--steps", type=int, default=40, help="the fastest of so many counts")
    parser.add_argument("--table", action="store_true", help="compute instead of measure")
    parser.add_argument("--member", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.member:
        print(json.dumps(member(words.steps)))
    else:
        print(computed() if words.table else measured(words.workers, words.steps))


if __name__ == "__main__":
    main()
