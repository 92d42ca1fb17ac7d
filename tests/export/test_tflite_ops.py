"""Keras's and TensorFlow's functions as LiteRT gets them are what they are elsewhere."""

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import export
from export.lowering import patched
from export.tflite_elementary import ELEMENTARY
from export.tflite_ops import PATCHES

KEYS: list[Any] = [
    (..., None),
    (None,),
    None,
    (slice(None), None, slice(1, 3)),
    (None, ..., None, 0),
    (0, None, slice(None, None, -1), ..., None),
    (slice(None), -1, None),
    (1, ...),
    slice(0, 1),
    (..., slice(None, 2)),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_new_axes_stand_where_numpy_has_them(key: Any) -> None:
    x = np.arange(24.0, dtype="float32").reshape(2, 3, 4)
    item = (tf.Tensor, "__getitem__")
    with patched({item: PATCHES[item]}):
        got = tf.constant(x)[key]
    np.testing.assert_array_equal(got, x[key])


def test_a_mask_made_by_hand_gets_its_axis(tmp_path: Any) -> None:
    """`mask[..., None]` on an open time axis: the converter's own slice for it is no builtin op."""
    inputs = keras.Input((None, 4), name="features")
    valid = ops.any(ops.not_equal(inputs, 0), axis=-1)
    outputs = keras.layers.GRU(5, return_sequences=True)(inputs, mask=valid) * ops.cast(valid, "float32")[..., None]
    model = keras.Model(inputs, ops.sum(outputs, axis=1)[:, None])
    artifact = export.export_model(model, tmp_path / "m.tflite", verify=False)
    x = np.random.default_rng(0).normal(size=(2, 7, 4)).astype("float32")
    x[1, 3:5] = 0
    (got,) = export.load_runtime(artifact.path)({"features": x}).values()
    np.testing.assert_allclose(got, model(x), atol=1e-5)


def test_float64_is_refused_as_such(tmp_path: Any) -> None:
    inputs = keras.Input((None, 4), dtype="float64")
    model = keras.Model(inputs, keras.layers.LSTM(3, dtype="float64")(inputs))
    with pytest.raises(export.ExportError, match=r"computes in float32, and the model in float64.*dtype='float32'"):
        export.export_model(model, tmp_path / "m.tflite")


@pytest.mark.parametrize("function", ELEMENTARY, ids=lambda key: key[1])
def test_elementary_functions_are_what_numpy_says(function: Any) -> None:
    name = function[1]
    low, high = {"arcsin": (-1, 1), "arccos": (-1, 1), "arctanh": (-0.999, 0.999), "arccosh": (1, 50)}.get(
        name, (-6, 6)
    )
    x = np.concatenate([np.linspace(low, high, 1001), [0.0, 1e-4] if low < 0 else []]).astype("float32")
    arguments = (x[:, None], x[None, ::50]) if name == "arctan2" else (x,)
    got = ELEMENTARY[function](None)(*arguments)
    wanted = (
        np.vectorize(math.erf)(x) if name == "erf" else getattr(np, name)(*(a.astype("float64") for a in arguments))
    )
    np.testing.assert_allclose(got, wanted, rtol=3e-6, atol=3e-7)


def test_angles_and_error_functions_are_in_the_file(tmp_path: Any) -> None:
    x = keras.Input((None, 4), name="wind")
    h = keras.layers.LSTM(4, return_sequences=True)(x)
    angle = ops.arctan2(h[..., :1], h[..., 1:2])
    outputs = [angle, ops.erf(h), ops.arcsin(h), ops.sinh(h), ops.arctan(h), ops.argmax(h, axis=-1), ops.signbit(h)]
    artifact = export.export_model(keras.Model(x, outputs), tmp_path / "m.tflite", format="tflite")
    assert artifact.report.passed
