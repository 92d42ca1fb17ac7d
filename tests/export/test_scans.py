"""Recurrences written with keras.ops in place of a recurrent layer; and other loops and shifts along the time axis."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import export
from tests.export.judging import SUFFIXES, difference, plain_runtime

L = keras.layers


def over_time(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of (time, batch, features), on (batch, time, features)."""
    return lambda x: ops.transpose(function(ops.transpose(x, (1, 0, 2))), (1, 0, 2))


def decay(carry: Any, x: Any) -> tuple[Any, Any]:
    carry = 0.9 * carry + x
    return carry, ops.tanh(carry)


def two(carry: Any, x: Any) -> tuple[Any, Any]:
    fast, slow = carry
    fast, slow = ops.tanh(0.5 * fast + x), 0.9 * slow + 0.1 * fast * ops.sigmoid(x)
    return (fast, slow), (slow, fast)


def gated(x: Any, reverse: bool = False) -> Any:
    init = (ops.zeros_like(x[0]), ops.ones_like(x[0]))
    (last, _), (slow, fast) = ops.scan(two, init, x, reverse=reverse)
    return ops.concatenate([slow + last, fast], -1)


WAYS: dict[str, Callable[[Any], Any]] = {
    "scan": over_time(lambda x: ops.scan(decay, ops.zeros_like(x[0]), x)[1]),
    "backwards": over_time(lambda x: ops.scan(decay, ops.zeros_like(x[0]), x, reverse=True)[1]),
    "two states": over_time(gated),
    "two states, backwards": over_time(lambda x: gated(x, reverse=True)),
    "the last state": lambda x: ops.scan(decay, ops.zeros_like(x[:, 0]), ops.transpose(x, (1, 0, 2)))[0],
    "no inputs": lambda x: ops.transpose(ops.scan(lambda c, _: (c * 0.5, c), x[:, -1], length=3)[1], (1, 0, 2)),
    "map over rows": lambda x: ops.map(lambda row: ops.cumsum(row, 0) - row[:1], x),
    "map of two": lambda x: ops.map(lambda rows: rows[0] * ops.max(rows[1]), (x, x + 1)),
    "cumulative product": lambda x: ops.cumprod(ops.tanh(x) + 1, axis=1),
    "roll": lambda x: ops.roll(x, 2, axis=1) + ops.roll(x, (1, -1), axis=(0, 2)) + ops.roll(x, -3),
    "switch": lambda x: ops.switch(ops.shape(x)[1] % 4, [lambda y: y, lambda y: -y, lambda y: 2 * y], x),
}


def linear(before: Any, after: Any) -> Any:
    """Joins h -> a h + b of two stretches of time: of linear recurrent units, S5 and minimal GRUs."""
    return before[0] * after[0], before[1] * after[0] + after[1]


class Associative(keras.Model):
    """Keras itself knows no shape of it on a dynamic axis."""

    def __init__(self, reverse: bool) -> None:
        super().__init__()
        self.gate, self.head, self.reverse = L.GRU(3, return_sequences=True), L.Dense(2), reverse

    def call(self, x: Any) -> Any:
        pair = (ops.sigmoid(self.gate(x)), x)
        return self.head(ops.associative_scan(linear, pair, reverse=self.reverse, axis=1)[1])


@pytest.mark.parametrize(
    ("fmt", "reverse"),
    [
        pytest.param(fmt, reverse, marks=pytest.mark.slow if reverse or fmt == "onnx" else [])
        for fmt, reverse in itertools.product(SUFFIXES, (False, True))
    ],
)
def test_an_associative_scan_of_any_length(fmt: str, reverse: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = Associative(reverse)
    signature = [keras.InputSpec(shape=(None, None, 3), dtype="float32")]
    path = export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}", input_signature=signature).path
    run = plain_runtime(path)
    for steps in (1, 2, 7, 130):
        given = np.random.default_rng(steps).normal(size=(2, steps, 3)).astype("float32")
        (got,) = run({"x": given}).values()
        assert difference(np.asarray(model(given)), got) == "", steps


# A SavedModel holds what Keras made of them, but for the switch; each of these is a case of one that stays.
SLOW = {"backwards", "two states", "map of two"}
CASES = [
    pytest.param(
        way, fmt, marks=[pytest.mark.slow] if way in SLOW or (fmt == "saved_model" and way != "switch") else []
    )
    for way, fmt in itertools.product(WAYS, SUFFIXES)
]


@pytest.mark.parametrize(("way", "fmt"), CASES)
def test_the_file_does_what_keras_does(way: str, fmt: str, tmp_path: Path) -> None:
    class Layer(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return WAYS[way](x)

    keras.utils.set_random_seed(0)
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, Layer(name="y")(L.GRU(4, return_sequences=True)(x)))
    path = export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}").path
    run = plain_runtime(path)
    for steps in (1, 6, 64, 130):  # LiteRT collects 64 at a time
        given = np.random.default_rng(steps).normal(size=(2, steps, 3)).astype("float32")
        (got,) = run({"x": given}).values()
        assert difference(np.asarray(model(given)), got) == "", steps
