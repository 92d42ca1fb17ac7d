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


class Weighed(keras.layers.Layer):
    """Numbers of its own above or below the bar."""

    def __init__(self, shape: tuple[int, ...], minus: bool, **options: Any) -> None:
        super().__init__(**options)
        self.weight = self.add_weight(shape=shape, initializer="glorot_uniform", name="weight")
        self.minus = minus

    def call(self, x: Any) -> Any:
        return self.weight - x if self.minus else self.weight / x


NOT_COMMUTATIVE = {
    "minus": lambda x: 1.0 - x,
    "minus, whole": lambda x: ops.cast(3 - ops.cast(9 * x, "int32"), "float32"),
    "negated": lambda x: 0 - ops.relu(x),
    "over": lambda x: 2.0 / x,
    "reciprocal": ops.reciprocal,
    "turned": lambda x: 1.0 - ops.transpose(x, (0, 2, 1)),
    "one": lambda x: ops.subtract(ops.ones((1, 1, 1)), x),
    "vector": lambda x: ops.divide(np.array([1.0, 2.0, 3.0, 4.0], "float32"), x),
}
OPEN_SHAPES = [(1, 1, 4), (1, 4), (1, 1, 1), (4,)]
STATIC_SHAPES = [(2, 1, 1), (2, 3, 4), (1, 3, 1), (1, 3, 4)]


@pytest.mark.parametrize("batch", [None, 2])
def test_what_is_behind_a_layer_is_not_taken_the_wrong_way_round(batch: int | None, tmp_path: Any) -> None:
    x = keras.Input((3 if batch else None, 5), batch_size=batch, name="x")
    # A sequence is transposed at the end of a recurrent layer's loop.
    sequence = ops.tanh(keras.layers.GRU(4, return_sequences=True)(x)) + 1.5
    results = [of_sequence(sequence) for of_sequence in NOT_COMMUTATIVE.values()]
    for shape in [*OPEN_SHAPES, *(STATIC_SHAPES if batch else [])]:
        results += [Weighed(shape, minus)(sequence) for minus in (True, False)]
    assert export.export_model(keras.Model(x, results), tmp_path, format="tflite").report.passed


@pytest.mark.parametrize("shapes", [[(-1, 3)], [(-1, 3, 1), (-1, 3)], [(-1, 1), (-1, 3)]], ids=str)
def test_sizes_may_come_out_the_same_between_recurrent_layers(shapes: list[tuple[int, ...]], tmp_path: Any) -> None:
    """Of a reshape between two transpositions the converter makes one to two open axes, which it refuses."""
    inputs = keras.Input((None, 3), name="x")
    x = keras.layers.GRU(3, return_sequences=True)(inputs)
    for shape in shapes:
        x = keras.layers.Reshape(shape)(x)
    model = keras.Model(inputs, keras.layers.GRU(2)(x))
    artifact = export.export_model(model, tmp_path / "m.tflite")
    assert artifact.report.passed


def test_a_row_of_zeros_has_a_direction_of_zeros(tmp_path: Any) -> None:
    """The state of an empty sequence is zero."""
    inputs = keras.Input((None, 3), name="x")
    state = keras.layers.GRU(4)(keras.layers.Masking()(inputs))
    roots = ops.minimum(ops.rsqrt(ops.abs(state)), 1e3)
    model = keras.Model(inputs, {"direction": keras.layers.UnitNormalization()(state), "roots": roots})
    artifact = export.export_model(model, tmp_path / "m.tflite")
    assert artifact.report.passed
    got = export.load_runtime(artifact.path)({"x": np.zeros((2, 5, 3), "float32")})
    np.testing.assert_array_equal(got["direction"], np.zeros((2, 4)))
    np.testing.assert_array_equal(got["roots"], np.full((2, 4), 1e3))
