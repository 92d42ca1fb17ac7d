"""What an artifact costs and is worth: size, time to load, latency, the task's own metric through its runtime."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.formats import format_of
from export.runtimes import Runtime, load_runtime

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
    from export.manifest import size_of

    paths = [Path(getattr(artifact, "path", artifact)) for artifact in artifacts]
    loaded = [_load(path, threads) for path in paths]
    times = _interleaved([runtime for runtime, _ in loaded], inputs, repeats)
    return [
        BenchmarkRow(
            format=format_of(path).name,
            file=path.name,
            bytes=size_of(path),
            load_ms=load_ms,
            latency_ms_median=float(np.median(calls)),
            latency_ms_p95=float(np.percentile(calls, 95)),
            metrics=dict(evaluate(runtime)) if evaluate else {},
        )
        for path, (runtime, load_ms), calls in zip(paths, loaded, times, strict=True)
    ]


def _load(path: Path, threads: int) -> tuple[Runtime, float]:
    start = time.perf_counter()
    runtime = load_runtime(path, threads)
    return runtime, 1e3 * (time.perf_counter() - start)


def _interleaved(runtimes: list[Runtime], inputs: Mapping[str, np.ndarray], repeats: int) -> list[list[float]]:
    def block(runtime: Runtime, calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            runtime(inputs)
        return 1e3 * (time.perf_counter() - start) / calls

    for runtime in runtimes:  # the first call allocates
        runtime(inputs)
    calls = [max(1, int(_LEAST_BLOCK_MS / max(block(runtime, 1), 1e-3))) for runtime in runtimes]
    times: list[list[float]] = [[] for _ in runtimes]
    for _ in range(repeats):
        for index, runtime in enumerate(runtimes):
            times[index].append(block(runtime, calls[index]))
    return times
