"""Models in half precision: an artifact computes in float32 all that the model computes in half."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from tests.export import random_models
from tests.export.judging import FORMATS, SUFFIXES, difference, plain_runtime

L = keras.layers


def _functional() -> keras.Model:
    x = keras.Input((None, 3), name="x")
    y = L.Bidirectional(L.LSTM(2, return_sequences=True))(x)
    return keras.Model(x, L.Dense(2)(L.GRU(3)(y)))


def _nested() -> keras.Model:
    """A Sequential without an Input casts to what its first layer computes in."""
    x = keras.Input((None, 3), name="x")
    inner = keras.Sequential([L.LSTM(4, return_sequences=True, activation="squareplus"), L.GRU(2)])
    return keras.Model(x, inner(x))


def _built() -> keras.Model:
    model = keras.Sequential([L.SimpleRNN(3, return_sequences=True), L.LSTM(2)])
    model.build((None, None, 3))
    return model


def _token_ids() -> keras.Model:
    """Ids of a large vocabulary have no place in a half precision number."""
    model = keras.Sequential([L.Embedding(3000, 3, mask_zero=True), L.SimpleRNN(2, return_sequences=True), L.LSTM(2)])
    model(np.zeros((2, 6), "int32"))
    return model


MODELS: dict[str, Callable[[], keras.Model]] = {m.__name__[1:]: m for m in (_functional, _nested, _built, _token_ids)}
QUICK = {
    ("mixed_bfloat16", "onnx", "token_ids"),
    ("float16", "tflite", "nested"),
    ("mixed_float16", "onnx", "built"),
}


def _cases() -> Iterator[Any]:
    for case in itertools.product(("mixed_float16", "mixed_bfloat16", "float16"), FORMATS, MODELS):
        yield pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize(("policy", "fmt", "name"), _cases())
def test_half_precision_is_exported_in_single(policy: str, fmt: str, name: str, tmp_path: Path) -> None:
    """The same model made in float32 is the judge."""
    with random_models.policy(policy):
        half = random_models.randomise(MODELS[name]())
    single = MODELS[name]()
    single.set_weights(half.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    if name == "token_ids":
        x = np.array([[2999, 2049, 257, 1, 1025, 1], [1, 2, 2051, 0, 0, 0]], "int32")
    policies = [layer.dtype_policy.name for layer in half._flatten_layers()]
    artifact = export.export_model(half, tmp_path / f"m{SUFFIXES[fmt]}")
    (port,) = export.load_runtime(artifact.path).inputs
    assert port.dtype == x.dtype
    (got,) = plain_runtime(artifact.path)({port.name: x}).values()
    want = np.asarray(single(x))
    assert difference(want, got) == ""
    assert np.abs(want - got).max() < 5e-6
    assert [layer.dtype_policy.name for layer in half._flatten_layers()] == policies


def test_an_input_declared_in_half_precision_stays_so(tmp_path: Path) -> None:
    x = keras.Input((None, 3), name="x", dtype="float16")
    with random_models.policy("mixed_float16"):
        model = random_models.randomise(keras.Model(x, L.LSTM(2)(x)))
    runtime = export.load_runtime(export.export_model(model, tmp_path / "m.onnx").path)
    assert [port.dtype for port in runtime.inputs] == ["float16"]
    assert x.dtype == "float16"
