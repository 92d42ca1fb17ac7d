"""Functions of Keras that tf2onnx lacks an op for, in ops that ONNX has."""

from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import ops

import export
from tests.export.random_models import randomise

L = keras.layers


def test_a_convolution_in_groups_is_one_node(tmp_path: Any) -> None:
    """Keras compiles it with XLA, and in a file that would be a call of nothing."""
    frames = keras.Input((None, 8), name="frames")
    x = L.Conv1D(6, 3, groups=2, padding="causal", dilation_rate=2)(frames)
    x = L.Conv1D(6, 2, groups=6, padding="same", strides=2)(x)
    model = randomise(keras.Model(frames, L.GRU(3, return_sequences=True)(ops.log1p(ops.abs(x)))))
    path = export.export_model(model, tmp_path / "m.onnx", verify=False).path
    nodes = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    groups = [attribute.i for node in nodes for attribute in node.attribute if attribute.name == "group"]
    assert groups == [2, 6]
    given = np.random.default_rng(0).normal(size=(2, 9, 8)).astype("float32")
    (got,) = export.load_runtime(path)({"frames": given}).values()
    np.testing.assert_allclose(got, model(given), atol=2e-6)


@pytest.mark.parametrize("boundaries", [[-1.0, 0.5, 1.0], [0.25]])
@pytest.mark.parametrize("opset", [14, 18])
def test_bins(boundaries: list[float], opset: int, tmp_path: Any) -> None:
    x = keras.Input((None,), name="x")
    bins = L.Discretization(bin_boundaries=boundaries)(x)
    model = randomise(keras.Model(x, [bins, L.SimpleRNN(2)(L.Embedding(4, 2)(bins))]))
    path = export.export_model(model, tmp_path / "m.onnx", opset=opset).path
    given = np.array(
        [[-2, -1, np.nextafter(-1, -2), 0.25, 0.5, 1, np.inf], [-np.inf, np.nan, 0, 3, -1, 1, 2]], "float32"
    )
    got = list(export.load_runtime(path)({"x": given}).values())
    for value, expected in zip(got, model(given), strict=True):
        np.testing.assert_allclose(value, expected, atol=2e-6)


def test_an_op_that_onnx_lacks_is_named(tmp_path: Any) -> None:
    given = keras.Input((None,), dtype="int32")
    looked_up = L.IntegerLookup(vocabulary=[3, 5])(given)
    model = keras.Model(given, L.SimpleRNN(2)(L.Embedding(4, 2)(looked_up)))
    with pytest.raises(export.ExportError, match=r"^ONNX has no op for LookupTableFindV2; replace it in the model$"):
        export.export_model(model, tmp_path / "m.onnx")
