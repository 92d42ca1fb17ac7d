"""What an artifact costs and is worth: size, time to load, latency, the task's own metric through its runtime."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from export.formats import format_of
from export.manifest import size_of
from export.runtimes import Runtime, load_runtime
from export.stream import Stream

T = TypeVar("T")

_LEAST_BLOCK_MS = 1.0  # time several calls together until a block takes this long: the clock is coarse


@dataclasses.dataclass(frozen=True)
class BenchmarkRow:
    """One artifact's figures.

    Attributes:
        format: Its format.
        file: Its name.
        bytes: Its size.
        load_ms: Time to load it.
        latency_ms_median: Median time of one call, milliseconds.
        latency_ms_p95: 95th percentile.
        metrics: The task's metrics.
    """

    format: str
    file: str
    bytes: int
    load_ms: float
    latency_ms_median: float
    latency_ms_p95: float
    metrics: dict[str, float]


def benchmark(
    artifacts: Sequence[Any],
    inputs: Mapping[str, np.ndarray],
    evaluate: Callable[[Runtime], Mapping[str, float]] | None = None,
    repeats: int = 50,
    threads: int = 1,
) -> list[BenchmarkRow]:
    """Measures artifacts side by side: their calls alternate, so that a busy machine is unfair to none.

    Args:
        artifacts: `Artifact`s or paths.
        inputs: What one call gets, usually a batch of 1.
        evaluate: Computes the task's metrics from a runtime.
        repeats: How many times each is timed.
        threads: How many threads a call may use.

    Raises:
        ArtifactError: An artifact cannot be read, or does not take the inputs.
    """
    paths = [Path(getattr(artifact, "path", artifact)) for artifact in artifacts]
    loaded = [_timed(functools.partial(load_runtime, path, threads)) for path in paths]
    times = _interleaved([functools.partial(runtime, inputs) for runtime, _ in loaded], repeats)
    return [
        _row(path, load_ms, calls, evaluate(runtime) if evaluate else {})
        for path, (runtime, load_ms), calls in zip(paths, loaded, times, strict=True)
    ]


def benchmark_stream(
    artifacts: Sequence[Any], chunk: Mapping[str, np.ndarray], repeats: int = 50, threads: int = 1
) -> list[BenchmarkRow]:
    """Measures step artifacts side by side: the time that one chunk of a running stream takes.

    Args:
        artifacts: `Artifact`s or paths, exported with `streaming=True`.
        chunk: What `Stream.feed` gets each time, by name: the next steps, (steps, ...).
        repeats: How many times each is timed.
        threads: How many threads a call may use.

    Raises:
        ArtifactError: An artifact is no step, or does not take the chunk.
    """
    paths = [Path(getattr(artifact, "path", artifact)) for artifact in artifacts]
    loaded = [_timed(functools.partial(Stream, path, threads=threads)) for path in paths]
    times = _interleaved([functools.partial(stream.feed, **chunk) for stream, _ in loaded], repeats)
    return [_row(path, load_ms, calls, {}) for path, (_, load_ms), calls in zip(paths, loaded, times, strict=True)]


def _row(path: Path, load_ms: float, calls: list[float], metrics: Mapping[str, float]) -> BenchmarkRow:
    return BenchmarkRow(
        format=format_of(path).name,
        file=path.name,
        bytes=size_of(path),
        load_ms=load_ms,
        latency_ms_median=float(np.median(calls)),
        latency_ms_p95=float(np.percentile(calls, 95)),
        metrics=dict(metrics),
    )


def _timed(load: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    loaded = load()
    return loaded, 1e3 * (time.perf_counter() - start)


def _interleaved(calls: list[Callable[[], object]], repeats: int) -> list[list[float]]:
    def block(call: Callable[[], object], count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            call()
        return 1e3 * (time.perf_counter() - start) / count

    for call in calls:  # the first one allocates
        call()
    counts = [max(1, int(_LEAST_BLOCK_MS / max(block(call, 1), 1e-3))) for call in calls]
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for index, call in enumerate(calls):
            times[index].append(block(call, counts[index]))
    return times
