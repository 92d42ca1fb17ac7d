"""Times callables side by side: their calls alternate, so that a busy machine is unfair to none."""

import time
from collections.abc import Callable, Mapping

import numpy as np

_BLOCK_SECONDS = 0.005


def medians(
    calls: Mapping[str, Callable[[], object]], repeats: int = 15, clock: Callable[[], float] = time.thread_time
) -> dict[str, float]:
    """Median microseconds of each call, in processor time: other processes' work does not count.

    Args:
        calls: What to time, by name.
        repeats: How many blocks of calls each gets.
        clock: `time.thread_time` for calls that do their work in the calling thread, else `time.process_time`.
    """
    counts = {}
    for name, call in calls.items():
        call()
        start = clock()
        call()
        counts[name] = max(1, int(_BLOCK_SECONDS / max(clock() - start, 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = clock()
            for _ in range(counts[name]):
                call()
            times[name].append((clock() - start) / counts[name])
    return {name: 1e6 * float(np.median(each)) for name, each in times.items()}


def table(columns: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
