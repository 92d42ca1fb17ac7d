"""Weights that a model uses twice are in an ONNX file once."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import export
import zoo
from export.onnx_weights import share_weights
from tests.export.judging import FORMATS

L = keras.layers


def tied() -> keras.Model:
    """The embedding is the output layer too, turned."""
    return zoo.create_model("language_model", vocabulary=600, embedding=64, units=(32,), tied=True)


def twins() -> keras.Model:
    """Two inputs through the same layers, an attention among them."""
    layers = (L.Conv1D(48, 5, padding="causal"), L.Bidirectional(L.GRU(24, return_sequences=True)))
    attention = L.MultiHeadAttention(4, 12)

    def read(x: keras.KerasTensor) -> keras.KerasTensor:
        for layer in layers:
            x = layer(x)
        return attention(x, x)

    inputs = [keras.Input((None, 16), name=name) for name in ("first", "second")]
    return keras.Model(inputs, {f"{x.name}_read": read(x) for x in inputs})


def nested_use() -> keras.Model:
    """A layer is used again inside of a cell's loop."""
    x = keras.Input((None, 40), name="x")
    cell = L.LSTMCell(40, activation="hard_tanh")
    return keras.Model(x, L.RNN(cell, return_sequences=True)(L.RNN(cell, return_sequences=True)(x)))


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMATS if fmt != "saved_model"])
@pytest.mark.parametrize("make", [tied, pytest.param(twins, marks=pytest.mark.slow), nested_use])
def test_a_weight_is_in_the_file_once(make: Callable[[], keras.Model], fmt: str, tmp_path: Path) -> None:
    model = make()
    artifact = export.export_model(model, tmp_path, format=fmt)
    assert artifact.report.passed
    assert artifact.bytes <= 1.1 * 4 * model.count_params() + 20 * 1024


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.55), ("int8", 0.30)])
def test_so_it_is_in_fewer_bits(precision: str, share: float, tmp_path: Path) -> None:
    model = tied()
    artifact = export.export_model(model, tmp_path, format="onnx", precision=precision)
    assert artifact.bytes <= share * 4 * model.count_params() + 20 * 1024


def test_constants_that_are_alike() -> None:
    import onnxruntime

    matrix = np.random.default_rng(0).normal(size=(20, 30)).astype("float32")
    other = matrix.copy()
    other[3, 4] += 1
    constants = {"a": matrix, "b": matrix.copy(), "turned": matrix.T.copy(), "other": other}
    # A loop's body reads the outer graph's constants, by name and for their shape.
    steps = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "b"], ["wide"]),
            helper.make_node("MatMul", ["wide", "turned"], ["narrow"]),
            helper.make_node("Shape", ["turned"], ["size"]),
            helper.make_node("Gather", ["size", "one"], ["columns"]),
            helper.make_node("Cast", ["columns"], ["scale"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["narrow", "scale"], ["next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "steps",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, 20]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 20]),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["count", "", "x"], ["looped"], body=steps),
            helper.make_node("MatMul", ["looped", "a"], ["y"]),
            helper.make_node("MatMul", ["looped", "other"], ["z"]),
        ],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 20])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 30]) for name in "yz"],
        [numpy_helper.from_array(array, name) for name, array in constants.items()]
        + [numpy_helper.from_array(np.array(3), "count"), numpy_helper.from_array(np.array(1), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    x = {"x": np.random.default_rng(1).normal(size=(1, 20)).astype("float32")}

    def run() -> list[np.ndarray]:
        onnx.checker.check_model(model, full_check=True)
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, x)

    before, size = run(), len(model.SerializeToString())
    share_weights(model.graph)
    for want, have in zip(before, run(), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-6)
    assert {"a", "other"} == {each.name for each in model.graph.initializer if each.name in constants}
    assert len(model.SerializeToString()) < size - 2 * matrix.nbytes + 300
