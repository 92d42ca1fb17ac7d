"""A SimpleRNN's two forms in one ONNX file, the kernel for few rows and the Scan for many, against Keras."""

import keras
import numpy as np
import onnx
import pytest

import export
from export.onnx_rows import FEW

RANDOM = np.random.default_rng(0)
BATCHES = (1, FEW, FEW + 1, 9)


def wide(layer, **call):
    """A model whose weights are large enough to saturate, with biases."""
    inputs = keras.Input((None, 3), name="features")
    x = keras.layers.Masking(-1.0)(inputs) if call.pop("masked", False) else inputs
    model = keras.Model(inputs, layer(x, **call))
    for variable in model.weights:
        variable.assign(RANDOM.normal(0, 0.4, variable.shape))
    return model


def features(batch: int, time: int, masked: bool) -> np.ndarray:
    x = RANDOM.normal(size=(batch, time, 3)).astype("float32")
    if masked:
        for row, length in zip(x, RANDOM.integers(0, time + 1, batch), strict=True):
            row[length:] = -1.0
    return x


def check(model, path, *, masked=False):
    artifact = export.export_model(model, path)
    run = export.load_runtime(artifact.path)
    for batch in BATCHES:
        for time in (1, 7):
            x = features(batch, time, masked)
            expected = keras.tree.flatten(model(x))
            for got, want in zip(run({"features": x}).values(), expected, strict=True):
                np.testing.assert_allclose(got, want, atol=2e-5)
    return export.op_histogram(artifact.path)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"return_sequences": True, "return_state": True},
        {"go_backwards": True},
        {"use_bias": False, "activation": "hard_sigmoid", "return_sequences": True},
        {"activation": "leaky_relu"},
        {"activation": None, "zero_output_for_mask": True, "return_sequences": True},
    ],
)
def test_both_forms_do_what_keras_does(tmp_path, options, masked):
    ops = check(wide(keras.layers.SimpleRNN(5, **options), masked=masked), tmp_path / "m.onnx", masked=masked)
    assert (ops["RNN"], ops["If"], ops["Scan"]) == (1, 1, 1)
    assert "Loop" not in ops


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("merge_mode", ["concat", None])
def test_both_directions(tmp_path, masked, merge_mode):
    layer = keras.layers.Bidirectional(keras.layers.SimpleRNN(4, return_sequences=True), merge_mode=merge_mode)
    ops = check(wide(layer, masked=masked), tmp_path / "m.onnx", masked=masked)
    assert (ops["RNN"], ops["If"], ops["Scan"]) == (1, 1, 2)


def test_initial_states_are_the_rows_own(tmp_path):
    inputs, start = keras.Input((None, 3), name="features"), keras.Input((5,), name="start")
    model = keras.Model([inputs, start], keras.layers.SimpleRNN(5, return_sequences=True)(inputs, initial_state=start))
    run = export.load_runtime(export.export_model(model, tmp_path / "m.onnx").path)
    for batch in BATCHES:
        feed = {"features": features(batch, 6, False), "start": RANDOM.normal(size=(batch, 5)).astype("float32")}
        (got,) = run(feed).values()
        np.testing.assert_allclose(got, model(list(feed.values())), atol=2e-5)


def test_weights_are_written_once(tmp_path):
    inputs = keras.Input((None, 3), name="features")
    model = keras.Model(inputs, keras.layers.SimpleRNN(200, return_sequences=True)(inputs))
    artifact = export.export_model(model, tmp_path / "m.onnx")
    weights = sum(int(np.prod(variable.shape)) * 4 for variable in model.weights)
    assert artifact.bytes < 1.1 * weights + 10_000


@pytest.mark.parametrize("fixed", [{"batch": 3}, {"streaming": True}, {"precision": "int8"}, {"opset": 14}])
def test_where_the_batch_is_small_or_kept_or_the_opset_old_there_is_one_form(tmp_path, fixed):
    path = export.export_model(wide(keras.layers.SimpleRNN(5)), tmp_path / "m.onnx", max_metric_drop=None, **fixed).path
    assert not {"If", "Scan"} & {node.op_type for node in onnx.load(path).graph.node}
