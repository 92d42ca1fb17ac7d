"""Keras's and TensorFlow's functions as LiteRT gets them are what they are elsewhere."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import export
from export.lowering import patched
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
