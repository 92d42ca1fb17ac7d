"""The same weights in other libraries give the same numbers; skipped where a library is not installed."""

from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.support import build, call

X = np.random.default_rng(0).normal(size=(5, 13, 4)).astype("float32")
LENGTHS = np.array([13, 9, 1, 6, 13])
# Where what torch's gates are called stands among Keras's blocks: i f g o, and r z n of Keras's z r n.
ORDER = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "simple_rnn": (0,)}


def tagger(cell: str, units: int = 7) -> tuple[keras.Model, list[np.ndarray], tuple[np.ndarray, ...]]:
    """A model with random weights, those of its recurrence, and those of its head."""
    fields = {"features": 4, "classes": 3, "cell": cell, "units": (units,), "mask_value": -5.0}
    model, rng = build("sequence_tagger", fields), np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    *recurrence, kernel, bias = model.get_weights()
    return model, recurrence, (kernel, bias)


def padded() -> np.ndarray:
    return np.where(np.arange(13)[None, :, None] < LENGTHS[:, None, None], X, np.float32(-5))


def reordered(weight: np.ndarray, cell: str) -> np.ndarray:
    """Keras's blocks of columns as torch's blocks of rows."""
    blocks = np.split(weight, len(ORDER[cell]), axis=-1)
    return np.concatenate([blocks[i] for i in ORDER[cell]], axis=-1).T


@pytest.mark.parametrize("cell", ORDER)
def test_pytorch_gives_the_same_states_and_gradients(cell: str) -> None:
    torch = pytest.importorskip("torch")
    model, (kernel, recurrent, bias), head = tagger(cell)
    peer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "simple_rnn": torch.nn.RNN}[cell](4, 7, batch_first=True)
    # Keras's GRU has a bias for each product, the others one for both.
    biases = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    weights = [kernel, recurrent, *biases]
    with torch.no_grad():
        for name, weight in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=True):
            getattr(peer, f"{name}_l0").copy_(torch.tensor(reordered(weight, cell)))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(X), torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
    )
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(peer(packed)[0], batch_first=True)
    logits = states @ torch.tensor(head[0]) + torch.tensor(head[1])
    valid = np.arange(13) < LENGTHS[:, None]
    got = np.asarray(call(model, {"features": padded()}))
    np.testing.assert_allclose(got[valid], logits.detach().numpy()[valid], atol=1e-5)

    import tensorflow as tf

    (logits[torch.tensor(valid)] ** 2).sum().backward()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.boolean_mask(call(model, {"features": padded()}), valid) ** 2)
    for name, gradient in zip(("weight_ih", "weight_hh"), tape.gradient(loss, model.trainable_variables), strict=False):
        wanted = getattr(peer, f"{name}_l0").grad.numpy()
        np.testing.assert_allclose(reordered(np.asarray(gradient), cell), wanted, rtol=1e-4, atol=1e-3)


def test_tf_keras_gives_the_same_states() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    model, recurrence, head = tagger("gru_reset_before")
    layer = tf_keras.layers.GRU(7, reset_after=False, return_sequences=True)
    layer.build((None, None, 4))
    layer.set_weights(recurrence)
    valid = np.arange(13) < LENGTHS[:, None]
    states = np.asarray(layer(X, mask=valid))
    got = np.asarray(call(model, {"features": padded()}))
    np.testing.assert_allclose(got[valid], (states @ head[0] + head[1])[valid], atol=1e-5)


def test_onnxs_operator_has_the_same_peepholes() -> None:
    """ONNX defines them for its LSTM: gates i o f c, peepholes i o f."""
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model, (kernel, recurrent, bias, peephole), head = tagger("lstm_peephole")

    def iofc(weight: np.ndarray) -> np.ndarray:
        i, f, g, o = np.split(weight, 4, axis=-1)
        return np.concatenate([i, o, f, g], axis=-1).T[None]

    constants = {
        "W": iofc(kernel),
        "R": iofc(recurrent),
        "B": np.concatenate([iofc(bias), np.zeros((1, 28))], axis=-1),
        "lengths": LENGTHS.astype("int32"),
        "P": peephole[[0, 2, 1]].reshape(1, 21),
    }
    stored = [
        onnx.numpy_helper.from_array(v if name == "lengths" else v.astype("float32"), name)
        for name, v in constants.items()
    ]
    node = onnx.helper.make_node("LSTM", ["x", "W", "R", "B", "lengths", "", "", "P"], ["y"], hidden_size=7)
    form = onnx.helper.make_tensor_value_info
    given, made = form("x", 1, [13, 5, 4]), form("y", 1, [13, 1, 5, 7])
    graph = onnx.helper.make_graph([node], "peer", [given], [made], stored)
    file = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    states = session.run(None, {"x": X.transpose(1, 0, 2)})[0][:, 0].transpose(1, 0, 2)
    valid = np.arange(13) < LENGTHS[:, None]
    got = np.asarray(call(model, {"features": padded()}))
    np.testing.assert_allclose(got[valid], (states @ head[0] + head[1])[valid], atol=1e-5)


@pytest.mark.parametrize(("units", "fields"), [(50, {"leak_rate": 0.3, "bias_scaling": 0.5}), (200, {})], ids=str)
def test_reservoirpy_gives_the_same_states_and_readout(units: int, fields: dict[str, Any]) -> None:
    nodes = pytest.importorskip("reservoirpy.nodes")
    from zoo.reservoir import fit_readout

    model = build("echo_state_network", {"features": 2, "units": units, "input_to_readout": False, **fields})
    x = np.random.default_rng(2).uniform(-1, 1, (1, 400, 2)).astype("float32")
    y = np.roll(x[..., :1], 3, axis=1)
    kernel, recurrent, bias = (np.asarray(weight, np.float64) for weight in model.get_layer("reservoir").get_weights())
    peer = nodes.Reservoir(W=recurrent.T, Win=kernel.T, bias=bias, lr=fields.get("leak_rate", 1.0))
    states = keras.Model(model.inputs[0], model.get_layer("reservoir").output).predict(x, verbose=0)
    np.testing.assert_allclose(states[0], peer.run(x[0].astype(np.float64)), atol=1e-5)
    fit_readout(model, x, y, ridge=1e-2, washout=50)
    readout = nodes.Ridge(ridge=1e-2)
    readout.fit(states[0, 50:].astype(np.float64), y[0, 50:].astype(np.float64))
    wanted = readout.run(states[0].astype(np.float64))
    np.testing.assert_allclose(model.predict(x, verbose=0)[0], wanted, atol=1e-3)
