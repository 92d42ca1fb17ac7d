"""The seam on Keras's undocumented inner_loop: these tests fail first when Keras moves it."""

import inspect
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import lowering, saved_model
from export.inference import inference_form
from export.lowering import Lowering, lowered
from export.trace import trace
from tests.export import user_cells

L = keras.layers

OWNERS = {name: value for name, value in vars(L).items() if isinstance(value, type) and issubclass(value, L.RNN)}


class Refusing(Lowering):
    """Proves that it was asked."""

    def __init__(self) -> None:
        super().__init__(saved_model.lowering().engine)

    def recurrent(self, call: Any) -> Any:
        raise RuntimeError("asked")


@pytest.fixture
def attributes() -> Iterator[dict[Any, Any]]:
    """What Keras's classes hold, which must be the same after the test."""
    places = [*lowering._PATCHES, (L.TimeDistributed, "call")]
    before = {(owner, name): owner.__dict__[name] for owner, name in places}
    yield before
    assert before == {(owner, name): owner.__dict__[name] for owner, name in places}


@pytest.mark.parametrize("layer", [L.RNN, L.LSTM, L.GRU])
def test_canary_inner_loop_has_the_signature_that_we_replace(layer: Any) -> None:
    parameters = inspect.signature(layer.inner_loop).parameters
    assert list(parameters) == ["self", "sequences", "initial_state", "mask", "training"]


def test_canary_every_inner_loop_of_keras_is_replaced() -> None:
    owners = {value for value in OWNERS.values() for owner in value.__mro__ if "inner_loop" in vars(owner)}
    defining = {owner for value in owners for owner in value.__mro__ if "inner_loop" in vars(owner)}
    assert defining == {owner for owner, name in lowering._PATCHES if name == "inner_loop"}


@pytest.mark.parametrize(
    "layer",
    [
        *(L.LSTM(2), L.GRU(2), L.SimpleRNN(2), L.RNN([L.LSTMCell(2), L.GRUCell(3)]), L.Bidirectional(L.LSTM(2))),
        *(L.RNN(user_cells.MinimalCell(2)), L.TimeDistributed(L.LSTM(2))),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_canary_keras_asks_inner_loop(layer: Any) -> None:
    x = np.zeros((2, 3, 4, 1) if isinstance(layer, L.TimeDistributed) else (2, 3, 4), "float32")
    layer(x)
    with pytest.raises(RuntimeError, match="asked"), lowered(Refusing()):
        layer(x)


@pytest.mark.parametrize("rank", [1, 2])
def test_canary_keras_asks_inner_loop_of_convolutional_layers(rank: int) -> None:
    layer = getattr(L, f"ConvLSTM{rank}D")(2, 3)
    x = np.zeros((2, 3, *(5, 4)[:rank], 1), "float32")
    layer(x)
    with pytest.raises(RuntimeError, match="asked"), lowered(Refusing()):
        layer(x)


def test_canary_inner_loop_returns_last_outputs_states() -> None:
    layer, x = L.LSTM(2), np.ones((2, 3, 4), "float32")
    layer(x)
    last, outputs, states = layer.inner_loop(x, layer.get_initial_state(2), mask=None)
    assert last.shape == (2, 2)
    assert outputs.shape[0] == 2
    assert [state.shape for state in states] == [(2, 2), (2, 2)]


def test_classes_are_whole_again(attributes: dict[Any, Any]) -> None:
    with lowered(Refusing()):
        assert any(owner.__dict__[name] is not value for (owner, name), value in attributes.items())


def test_classes_are_whole_again_after_an_exception(attributes: dict[Any, Any]) -> None:
    with pytest.raises(ZeroDivisionError), lowered(Refusing()):
        raise ZeroDivisionError
    assert L.LSTM(2)(np.ones((1, 2, 3), "float32")).shape == (1, 2)


def test_another_thread_is_not_affected(attributes: dict[Any, Any]) -> None:
    layer, x = L.Bidirectional(L.LSTM(2)), np.ones((2, 3, 4), "float32")
    before = np.asarray(layer(x))
    seen: list[np.ndarray] = []
    with lowered(Refusing()):
        thread = threading.Thread(target=lambda: seen.append(np.asarray(layer(x))))
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="asked"):
            layer(x)
    np.testing.assert_array_equal(seen[0], before)


def test_two_threads_lower_one_after_the_other(attributes: dict[Any, Any]) -> None:
    inside, most = [], []
    layer, x = L.GRU(2), np.ones((2, 3, 4), "float32")
    layer(x)

    def work() -> None:
        with lowered(saved_model.lowering()) as notes:
            inside.append(1)
            most.append(len(inside))
            tf.function(layer, autograph=False).get_concrete_function(tf.TensorSpec((None, None, 4)))
            assert len(notes) == 1
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]


def test_each_layer_call_leaves_a_note() -> None:
    first, second = L.LSTM(2, return_sequences=True, name="first"), L.RNN(user_cells.MinimalCell(3), name="second")
    x = np.ones((2, 3, 4), "float32")
    second(first(x))
    with lowered(saved_model.lowering()) as notes:
        second(first(x))
    assert [(note.layer, note.cells) for note in notes] == [("first", ("LSTMCell",)), ("second", ("MinimalCell",))]
    assert notes[0].reason == ""
    assert "MinimalCell" in notes[1].reason


@pytest.mark.parametrize("fails", [False, True])
def test_inference_form_gives_everything_back(fails: bool) -> None:
    x = keras.Input(batch_shape=(2, 3, 4))
    y = L.LSTM(2, stateful=True, dtype="mixed_bfloat16", name="lstm")(x)
    model = keras.Model(x, L.Dense(2, dtype="mixed_float16", name="dense")(y))
    try:
        with inference_form(model):
            assert not model.get_layer("lstm").stateful
            assert model.get_layer("lstm").cell.dtype_policy.name == "float32"
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    lstm = model.get_layer("lstm")
    assert lstm.stateful
    assert (lstm.dtype_policy.name, lstm.cell.dtype_policy.name) == ("mixed_bfloat16", "mixed_bfloat16")
    assert model.get_layer("dense").dtype_policy.name == "mixed_float16"


@pytest.mark.parametrize("reset_after", [False, True])
def test_a_kept_state_keeps_its_digits_beside_a_large_candidate(reset_after: bool) -> None:
    """A GRU with relu on features of another scale: where its update gate is 1, the candidate counts for nothing."""
    x = keras.Input((None, 2))
    layer = L.GRU(1, activation="relu", reset_after=reset_after, use_bias=False)
    model = keras.Model(x, layer(x))
    gates_and_candidate = np.array([[0, 0, 0.3], [100, 0, 1e7]], "float32")  # the second feature shuts the gate
    layer.set_weights([gates_and_candidate, np.zeros((1, 3), "float32")])
    frames = np.array([[[1, 0], [0, 1], [0, 1]]], "float32")
    traced = trace(model, saved_model.lowering())
    (got,) = traced.function(**{next(iter(traced.arguments.values())): frames}).values()
    np.testing.assert_allclose(got, [[0.15]], rtol=1e-6)
