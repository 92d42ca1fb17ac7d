"""How long an export with verification takes, stage by stage: `python -m benchmarks.export_time`.

The model is a classifier of three LSTMs of 256 units. Prints the table of docs/benchmarks.md.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras

import export.exporting as stages
from benchmarks.interleaved import table
from export import export_model


def classifier() -> keras.Model:
    """Three LSTMs of 256 units and a softmax."""
    x = inputs = keras.Input((None, 16), name="features")
    for last in (False, False, True):
        x = keras.layers.LSTM(256, return_sequences=not last)(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def timed(name: str, spent: dict[str, float]) -> Any:
    """Replaces a stage of the export by itself with a clock."""
    original: Callable[..., Any] = getattr(stages, name)

    def stage(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start

    return mock.patch.object(stages, name, stage)


def rows(folder: Path) -> list[list[object]]:
    """Seconds for each format: tracing, verifying, and the rest, which is converting and writing."""
    found: list[list[object]] = []
    whole = 0.0
    for fmt in ("saved_model", "tflite", "onnx"):
        model, spent = classifier(), dict[str, float]()
        with timed("trace", spent), timed("compare", spent):
            start = time.perf_counter()
            export_model(model, folder / fmt, fmt)
            total = time.perf_counter() - start
        whole += total
        parts = (spent["trace"], total - sum(spent.values()), spent["compare"], total)
        found.append([fmt, *(f"{seconds:.1f}" for seconds in parts)])
    return [*found, ["all three", "", "", "", f"{whole:.1f}"]]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as room:
        print(table(["format", "trace, s", "convert, s", "verify, s", "whole, s"], rows(Path(room))))
