"""A decoding loop in ONNX holds what changes from step to step and nothing else, and does what Keras does."""

from collections import Counter

import keras
import numpy as np
import onnx
import pytest
from keras import ops

import export
from export.onnx_loops import free_loops

RANDOM = np.random.default_rng(0)
STEPS = 6


@keras.saving.register_keras_serializable(package="tests")
class Feedback(keras.layers.Layer):
    """Feeds a cell its own output, a given number of times; its weights are the loop's constants."""

    def __init__(self, cell, **options):
        super().__init__(**options)
        self.cell = cell

    def build(self, shape):
        self.cell.build((shape[0], self.cell.units))

    def call(self, x):
        states = self.cell.get_initial_state(ops.shape(x)[0])

        def body(t, x, states):
            output, states = self.cell(x * ops.cast(t + 1, x.dtype), states)
            return t + 1, output, states

        start = (ops.zeros((), "int32"), x, [state + 0.1 for state in states])
        return ops.while_loop(lambda t, *_: t < STEPS, body, start)[1]


def feedback(cell):
    inputs = keras.Input((cell.units,), name="features")
    model = keras.Model(inputs, Feedback(cell, name="fed_back")(inputs))
    for variable in model.weights:
        variable.assign(RANDOM.normal(0, 0.4, variable.shape))
    return model


CELLS = {
    "lstm": keras.layers.LSTMCell(5),
    "lstm, no bias": keras.layers.LSTMCell(5, use_bias=False, activation="elu", recurrent_activation="hard_sigmoid"),
    "gru": keras.layers.GRUCell(5),
    "gru, no bias": keras.layers.GRUCell(5, use_bias=False, activation="relu"),
    "gru, reset before": keras.layers.GRUCell(5, reset_after=False),
    "simple": keras.layers.SimpleRNNCell(5),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_in_a_loop_of_ones_own_does_what_keras_does(tmp_path, name):
    model = feedback(CELLS[name])
    artifact = export.export_model(model, tmp_path / "m.onnx", verify=False)
    x = RANDOM.normal(size=(3, 5)).astype("float32")
    (got,) = export.load_runtime(artifact.path)({"features": x}).values()
    np.testing.assert_allclose(got, model(x), atol=1e-5)

    loop = next(node for node in onnx.load(str(artifact.path)).graph.node if node.op_type == "Loop")
    states = 2 + len(CELLS[name].get_initial_state(1))  # t, the input, the cell's own
    assert len(loop.input) - 2 == len(loop.output) == states
    body = Counter(node.op_type for node in loop.attribute[0].g.node)
    assert body["Transpose"] == body["Reshape"] == 0
    products = {"lstm": 1, "gru": 2, "simple": 2}[name.split(",")[0]] + (name == "gru, reset before")
    assert body["MatMul"] + body["Gemm"] == products
    if name == "lstm":
        assert body["Sigmoid"] == 1
        assert body.total() <= 18


def run(proto, **feeds):
    import onnxruntime

    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(value) for name, value in feeds.items()})


NESTED = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[2] x, int64 times) => (float[2] last, float[2] same, float[2] other, float[n, 2] all)
<int64 one = {1}, bool go = {1}> {
    start = Neg(x)
    last, same, other, all = Loop(times, go, start, x, start) <body =
        b (int64 i, bool c, float[2] s, float[2] w, float[2] v)
            => (bool c2, float[2] s2, float[2] w3, float[2] w4, float[2] y) <float two = {2.0}> {
        c2 = Identity(c)
        double = Mul(w, two)
        w2 = Identity(w)
        w3 = Identity(w2)
        w4 = Identity(w)
        inner = Loop(one, go, s) <body =
            b2 (int64 j, bool d, float[2] q) => (bool d2, float[2] q2) <float two = {3.0}> {
            d2 = Identity(d)
            triple = Mul(double, two)
            q2 = Add(q, triple)
        }>
        s2 = Identity(inner)
        y = Add(s2, v)
    }>
}
"""


@pytest.mark.parametrize("times", [0, 1, 3])
def test_loops_in_loops_give_what_they_gave(times):
    proto = onnx.parser.parse_model(NESTED)
    x = np.array([1.0, -2.0], "float32")
    before = run(proto, x=x, times=np.int64(times))
    free_loops(proto.graph)
    for got, want in zip(run(proto, x=x, times=np.int64(times)), before, strict=True):
        np.testing.assert_array_equal(got, want)

    loop = next(node for node in proto.graph.node if node.op_type == "Loop")
    assert len(loop.input) == 4  # the state that changes, and the one that takes the other's value
    assert {node.op_type for node in loop.attribute[0].g.node} == {"Identity", "Loop", "Add"}
    assert [node.op_type for node in proto.graph.node].count("Mul") == 2  # the inner loop's went all the way out


def test_large_ids_are_compared_as_whole_numbers_and_places_count_from_the_end(tmp_path):
    ids = keras.Input((), name="ids", dtype="int32")
    table = keras.layers.Embedding(4, 2, name="table")
    is_large = ops.cast(ids > 2**24, "int32")
    model = keras.Model(ids, {"large": is_large, "row": table(is_large), "last": ops.take(table(is_large), -1, axis=1)})
    artifact = export.export_model(model, tmp_path / "m.onnx", verify=False)
    x = np.array([2**24 + 1, 2**24, -5], "int32")  # as floats the first two are one number
    got = export.load_runtime(artifact.path)({"ids": x})
    assert got["large"].tolist() == [1, 0, 0]
    for name in ("row", "last"):
        np.testing.assert_allclose(got[name], model(x)[name], atol=1e-6)
    assert "Less" not in export.op_histogram(artifact.path)
