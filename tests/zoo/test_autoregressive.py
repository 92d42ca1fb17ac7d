"""The models before recurrence, against closed forms and counts."""

import keras
import numpy as np
import pytest

from tests.zoo.support import build, call, train
from zoo.autoregressive import fit_transitions

RNG = np.random.default_rng(0)


def test_the_window_holds_the_last_inputs_and_nothing_else() -> None:
    model = build("autoregressive", {"features": 2, "targets": 3, "window": 4})
    x = RNG.normal(size=(5, 9, 2)).astype("float32")
    kernel, bias = model.get_weights()
    padded = np.concatenate([np.zeros((5, 3, 2)), x], axis=1)
    windows = np.concatenate([padded[:, 3 - lag : 12 - lag] for lag in range(4)], axis=-1)
    np.testing.assert_allclose(call(model, {"features": x}), windows @ kernel + bias, atol=1e-6)
    changed = x.copy()
    changed[:, 2] += 1
    moved = np.abs(call(model, {"features": x}) - call(model, {"features": changed})).max((0, 2)) > 1e-6
    np.testing.assert_array_equal(moved, [False, False, True, True, True, True, False, False, False])


def test_padding_takes_no_place_in_the_window() -> None:
    model = build("autoregressive", {"features": 1, "targets": 1, "window": 3, "mask_value": -9.0})
    dense = np.array([[[1.0], [2.0], [3.0]]], "float32")
    holes = np.array([[[1.0], [-9.0], [2.0], [-9.0], [-9.0], [3.0]]], "float32")
    got, expected = call(model, {"features": holes}), call(model, {"features": dense})
    np.testing.assert_allclose(np.asarray(got)[:, [0, 2, 5]], expected, atol=1e-6)


def test_a_linear_process_is_fitted_to_its_least_squares() -> None:
    x = np.zeros((16, 40, 1), "float32")
    for t in range(2, 40):
        x[:, t] = 0.6 * x[:, t - 1] - 0.3 * x[:, t - 2] + RNG.normal(scale=0.1, size=(16, 1))
    model = build("autoregressive", {"features": 1, "targets": 1, "window": 2})
    model.compile(keras.optimizers.Adam(0.05), "mse")
    train(model, x[:, :-1], x[:, 1:], 150)
    before = np.concatenate([np.zeros((16, 1, 1)), x[:, :-2]], axis=1)
    past = np.stack([x[:, :-1].ravel(), before.ravel(), np.ones(16 * 39)], axis=-1)
    wanted = np.linalg.lstsq(past, x[:, 1:].ravel(), rcond=None)[0]
    np.testing.assert_allclose(np.concatenate([w.ravel() for w in model.get_weights()]), wanted, atol=0.01)


def test_the_fitted_transition_matrix_equals_the_counts() -> None:
    sequences = [[1, 2, 2, 3, 1, 2], [3, 3, 1, 0, 0], [2], []]
    model = build("markov", {"vocabulary": 5})
    matrix = fit_transitions(model, sequences)
    expected = np.full((5, 5), 0.2)
    expected[1] = [0, 0, 1, 0, 0]
    expected[2] = [0, 0, 1 / 2, 1 / 2, 0]
    expected[3] = [0, 2 / 3, 0, 1 / 3, 0]
    np.testing.assert_allclose(matrix, expected)
    logits = call(model, {"token_ids": np.array([[1, 2, 3, 4]], "int32")})
    np.testing.assert_allclose(keras.ops.softmax(logits)[0], expected[1:], atol=1e-6)


def test_smoothing_counts_every_pair_once_more() -> None:
    matrix = fit_transitions(build("markov", {"vocabulary": 4}), np.array([[1, 2, 0], [1, 3, 3]]), smoothing=1.0)
    np.testing.assert_allclose(matrix[1:, 1:], np.array([[1, 2, 2], [1, 1, 1], [1, 1, 2]]) / [[5], [3], [4]])
    assert (matrix[1:, 0] == 0).all()
    with pytest.raises(ValueError, match="token ids must be from 0 to 3, got 1 to 4"):
        fit_transitions(build("markov", {"vocabulary": 4}), [[1, 4]])


def test_gradient_descent_finds_the_counts_too() -> None:
    chain = np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
    ids = np.ones((16, 60), "int32")
    for t in range(1, 60):
        ids[:, t] = [1 + RNG.choice(3, p=chain[now - 1]) for now in ids[:, t - 1]]
    counted = fit_transitions(build("markov", {"vocabulary": 4}), ids)
    model = build("markov", {"vocabulary": 4})
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train(model, ids[:, :-1], ids[:, 1:], 120)
    learned = keras.ops.softmax(model.get_layer("logits").get_weights()[0])
    np.testing.assert_allclose(np.asarray(learned)[1:], counted[1:], atol=5e-3)


@pytest.mark.parametrize("name", ["autoregressive", "latent_autoregressive"])
def test_either_numbers_or_classes(name: str) -> None:
    assert build(name, {"features": 2, "targets": 3}).output_names == ["predictions"]
    assert build(name, {"features": 2, "classes": 3}).output_names == ["logits"]
    for fields, got in (({}, "neither"), ({"targets": 1, "classes": 2}, "both")):
        with pytest.raises(ValueError, match=rf"^{name}: give exactly one of targets= .* got {got}$"):
            build(name, {"features": 2, **fields})


def test_a_summary_remembers_what_a_window_has_lost() -> None:
    # The label is the sign of the first input, asked for at the last step, six steps later.
    x = RNG.normal(size=(128, 7, 1)).astype("float32")
    labels = np.zeros((128, 7), "int32")
    labels[:, -1] = x[:, 0, 0] > 0
    weight = np.zeros((128, 7), "float32")
    weight[:, -1] = 1
    losses = {}
    for name, fields in (("autoregressive", {"window": 3, "hidden": (8,)}), ("latent_autoregressive", {"cell": "gru"})):
        model = build(name, {"features": 1, "classes": 2, **fields})
        model.compile(keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses[name] = train(model, x, labels, 60, weight)
    assert losses["latent_autoregressive"][-1] < 0.3 * losses["latent_autoregressive"][0]
    assert losses["autoregressive"][-1] > 0.6 * losses["autoregressive"][0]
