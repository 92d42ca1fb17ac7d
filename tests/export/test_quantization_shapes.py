"""Every precision on models of other shapes: stacked, both directions, masked, behind a convolution; whole and step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from tests.export.judging import SUFFIXES
from tests.export.random_models import randomise

L = keras.layers
UNITS = (16, 64, 100, 256)


def stack(*layers: Callable[[int], Any]) -> Callable[[int], keras.Model]:
    """A model of these layers, made for a width, and a head at each step."""

    def build(units: int) -> keras.Model:
        x = y = keras.Input((None, 8), name="x")
        for layer in layers:
            y = layer(units)(y)
        return randomise(keras.Model(x, L.Dense(5, name="y")(y)), seed=units)

    return build


def over_time(kind: Any, **options: Any) -> Callable[[int], Any]:
    return lambda units: kind(units, return_sequences=True, **options)


CAUSAL = {
    "two LSTMs": stack(over_time(L.LSTM), over_time(L.LSTM)),
    "three GRUs": stack(*[over_time(L.GRU)] * 3),
    "GRU, reset before": stack(over_time(L.GRU, reset_after=False)),
    "LSTM behind a convolution": stack(
        lambda units: L.Conv1D(units // 2, 5, padding="causal", activation="relu"), over_time(L.LSTM)
    ),
    "masked GRU": stack(lambda units: L.Masking(), over_time(L.GRU)),
    "masked LSTM": stack(lambda units: L.Masking(), over_time(L.LSTM)),
    "SimpleRNN, no bias": stack(over_time(L.SimpleRNN, use_bias=False)),
    "stacked cells": stack(lambda units: L.RNN([L.GRUCell(units), L.LSTMCell(8)], return_sequences=True)),
}
BOTH_WAYS = {
    "both directions": stack(lambda units: L.Bidirectional(L.GRU(units, return_sequences=True))),
    "masked, both directions": stack(
        lambda units: L.Masking(), lambda units: L.Bidirectional(L.LSTM(units, return_sequences=True))
    ),
}


def data(count: int = 12, time: int = 30) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).normal(size=(count, time, 8)).astype("float32")}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("name", [*CAUSAL, *BOTH_WAYS])
def test_whole_sequences(name: str, units: int, fmt: str, precision: str, tmp_path: Path) -> None:
    model = {**CAUSAL, **BOTH_WAYS}[name](units)
    export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}", precision=precision, calibration=data())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fmt", "precision"),
    [
        ("tflite", "float16"), ("tflite", "int8"), ("tflite", "int8_full"), ("tflite", "int16x8"),
        ("onnx", "float16"), ("onnx", "int8"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("units", UNITS[:2])
@pytest.mark.parametrize("name", CAUSAL)
def test_steps(name: str, units: int, fmt: str, precision: str, tmp_path: Path) -> None:
    artifact = export.export_model(
        CAUSAL[name](units), tmp_path / f"m{SUFFIXES[fmt]}", streaming=True, precision=precision, calibration=data()
    )
    assert artifact.report.drift.bounded
