"""Each cell against its equations in NumPy, inside of the builders."""

import typing

import keras
import numpy as np
import pytest

from tests import reference
from tests.zoo.support import build, call
from zoo import layers
from zoo.cells import CELLS, Cell

TIGHT = {"atol": 2e-6, "rtol": 1e-5}
every_cell = pytest.mark.parametrize("cell", list(CELLS))


def randomise(model: keras.Model, seed: int = 3) -> None:
    """Gives every weight, zero biases too, a random value, so that a forgotten term shows."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])


def test_the_type_names_the_table() -> None:
    assert typing.get_args(Cell) == tuple(CELLS)


def hidden(cell: str, x: np.ndarray, weights: list[np.ndarray], units: tuple[int, ...], mask: np.ndarray | None):
    """The sequence of states at the top of a stack, and the weights that are left."""
    for _ in units:
        count = reference.WEIGHTS[cell]
        x, weights = reference.recurrence(cell, x, weights[:count], mask), weights[count:]
    return x, weights


@every_cell
@pytest.mark.parametrize("units", [(5,), (5, 3)], ids=str)
def test_classifier_equals_the_equations(cell: str, units: tuple[int, ...]) -> None:
    model = build("sequence_classifier", {"features": 4, "classes": 3, "cell": cell, "units": units})
    randomise(model)
    x = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
    states, head = hidden(cell, x, model.get_weights(), units, None)
    expected = reference.dense(states[:, -1], head)
    np.testing.assert_allclose(call(model, {"features": x}), expected, **TIGHT)


@every_cell
def test_padded_rows_are_skipped_wherever_they_stand(cell: str) -> None:
    fields = {"features": 4, "classes": 3, "cell": cell, "units": (5, 3), "mask_value": -1.0}
    model = build("sequence_classifier", fields)
    randomise(model)
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(4, 6, 4)).astype("float32"), rng.random((4, 6)) < 0.6
    mask[:, 0] = [True, False, True, True]
    mask[0], mask[2] = True, [True] * 3 + [False] * 3
    states, head = hidden(cell, x, model.get_weights(), (5, 3), mask)
    expected = reference.dense(reference.last_valid(states, mask), head)
    got = call(model, {"features": np.where(mask[..., None], x, np.float32(-1))})
    np.testing.assert_allclose(got, expected, **TIGHT)


@every_cell
def test_bidirectional_tagger_equals_the_equations(cell: str) -> None:
    model = build(
        "sequence_tagger",
        {"vocabulary": 9, "embedding": 4, "classes": 3, "cell": cell, "units": (5,), "bidirectional": True},
    )
    randomise(model)
    table, *weights = model.get_weights()
    ids = np.array([[1, 2, 3, 4, 5], [8, 7, 6, 0, 0]], "int32")
    x, mask, count = table[ids], ids != 0, reference.WEIGHTS[cell]
    forward = reference.recurrence(cell, x, weights[:count], mask)
    backward = reference.recurrence(cell, x, weights[count : 2 * count], mask, reverse=True)
    expected = reference.dense(np.concatenate([forward, backward], -1), weights[2 * count :])
    np.testing.assert_allclose(np.asarray(call(model, {"token_ids": ids}))[mask], expected[mask], **TIGHT)


def test_language_model_ties_its_output_to_the_embedding() -> None:
    model = build("language_model", {"vocabulary": 9, "embedding": 4, "units": (5,), "tied": True})
    randomise(model)
    table, *weights = model.get_weights()
    ids = np.array([[1, 2, 3, 4], [8, 7, 6, 5]], "int32")
    expected = reference.recurrence("lstm", table[ids], weights[:3]) @ weights[3] @ table.T
    np.testing.assert_allclose(call(model, {"token_ids": ids}), expected, **TIGHT)


@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_of_a_language_model_leaves_padding_out(tied: bool) -> None:
    model = build("language_model", {"vocabulary": 9, "embedding": 4, "units": (5,), "tied": tied})
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ids, targets = np.array([[1, 2, 3], [4, 0, 0]], "int32"), np.array([[2, 3, 5], [6, 0, 0]], "int32")
    logits = np.asarray(model(ids), np.float64)
    scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    mask = ids != 0
    expected = -np.take_along_axis(scores, targets[..., None], -1)[..., 0][mask].mean()
    assert model.evaluate(ids, targets, verbose=0) == pytest.approx(expected, rel=1e-5)


@every_cell
def test_recurrent_dropout_drops_in_training_only(cell: str) -> None:
    model = build(
        "sequence_classifier", {"features": 4, "classes": 3, "cell": cell, "units": (16,), "recurrent_dropout": 0.5}
    )
    plain = build("sequence_classifier", {"features": 4, "classes": 3, "cell": cell, "units": (16,)})
    randomise(plain)
    # The dropping model carries the state of its random numbers beside its weights.
    for weight, value in zip(model.trainable_weights, plain.trainable_weights, strict=True):
        weight.assign(value)
    x = {"features": np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")}
    np.testing.assert_allclose(call(model, x), call(plain, x), **TIGHT)
    first, second = call(model, x, training=True), call(model, x, training=True)
    assert np.abs(first - second).max() > 1e-3


def test_dropout_drops_the_same_features_at_every_step() -> None:
    model = build("sequence_tagger", {"features": 8, "classes": 3, "units": (4,), "dropout": 0.5})
    dropped = np.asarray(model.get_layer("dropout_1")(np.ones((2, 5, 8), "float32"), training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped == dropped[:, :1]).all()


@pytest.mark.parametrize("cell", ["lstm", "lstm_peephole", "lstm_coupled", "lstm_layer_norm"])
def test_the_forget_gate_starts_open(cell: str) -> None:
    layer = CELLS[cell](5, name="layer")
    layer.build((None, None, 3))
    bias = np.asarray(layer.cell.bias)
    gates = {"lstm_coupled": "fgo"}.get(cell, "ifgo")
    expected = np.concatenate([np.full(5, float(gate == "f")) for gate in gates])
    np.testing.assert_array_equal(bias, expected)


def test_a_gated_cell_without_bias_is_refused() -> None:
    with pytest.raises(ValueError, match="MinimalGatedCell has a bias in its equation, got use_bias=False"):
        layers.MinimalGatedCell(3, use_bias=False)


def test_a_layer_norm_over_one_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="units must be at least 2, got 1"):
        build("sequence_tagger", {"features": 4, "classes": 2, "cell": "lstm_layer_norm", "units": (3, 1)})


def test_the_height_of_the_forget_bias_survives_a_reload() -> None:
    cell = layers.ForgetBiasLSTMCell(3, forget_bias=2.5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert copy.forget_bias == 2.5
