"""What is said of cuDNN is what Keras does: its own decisions are the judge, with the GPU pretended."""

import importlib
import itertools

import keras
import numpy as np
import pytest

import recipes
from recipes import devices, training

# By its path: the package has a function of the same name.
keras_rnn = importlib.import_module("keras.src.backend.tensorflow.rnn")

OPTIONS = {
    "activation": ["tanh", "relu"],
    "recurrent_activation": ["sigmoid", "hard_sigmoid"],
    "recurrent_dropout": [0.0, 0.1],
    "unroll": [False, True],
    "use_bias": [True, False],
    "use_cudnn": ["auto", False],
}


def variants(kind):
    options = OPTIONS | ({"reset_after": [True, False]} if kind is keras.layers.GRU else {})
    defaults = {name: values[0] for name, values in options.items()}
    yield defaults
    for name, values in options.items():
        yield defaults | {name: values[1]}
    for one, other in itertools.combinations(options, 2):
        yield defaults | {one: options[one][1], other: options[other][1]}


@pytest.fixture
def asked(monkeypatch):
    """Pretends a GPU; records whether Keras hands a layer to cuDNN, which then runs without it."""
    calls = []

    def refuse(*args, **kwargs):
        calls.append(args)
        raise NotImplementedError

    monkeypatch.setattr(keras_rnn, "_is_gpu_available", lambda: True)
    monkeypatch.setattr(keras_rnn, "_cudnn_lstm", refuse)
    monkeypatch.setattr(keras_rnn, "_cudnn_gru", refuse)
    return calls


@pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU])
def test_the_conditions_are_those_of_keras(asked, kind):
    x = np.zeros((2, 3, 4), "float32")
    for options in variants(kind):
        layer = kind(5, **options)
        asked.clear()
        layer(x)
        misses = devices.cudnn_misses(layer)
        assert bool(asked) == (not misses), (options, misses)
        for name, values in OPTIONS.items():
            assert (options[name] != values[0]) == any(miss.startswith(name + " ") for miss in misses)


def test_no_kernel_for_other_layers(asked):
    x = np.zeros((2, 3, 4), "float32")
    for layer in (keras.layers.SimpleRNN(5), keras.layers.RNN(keras.layers.LSTMCell(5))):
        layer(x)
        assert not asked
        assert devices.cudnn_misses(layer)
    assert "SimpleRNN" in devices.cudnn_misses(keras.layers.SimpleRNN(5))[0]
    assert "RNN of LSTMCell" in devices.cudnn_misses(keras.layers.RNN(keras.layers.LSTMCell(5)))[0]


def test_every_recurrent_layer_is_found():
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 4, mask_zero=True)(inputs)
    x = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True), name="both")(x)
    inner = keras.Sequential([keras.Input((None, 6)), keras.layers.GRU(2, recurrent_dropout=0.1, name="inner")])
    reports = devices.recurrent_layers(keras.Model(inputs, inner(x)))
    assert [report.kind for report in reports] == ["LSTM", "LSTM", "GRU"]
    assert [bool(report.misses) for report in reports] == [False, False, True]
    assert "right-padded" in str(reports[0])
    assert str(reports[2]) == "inner (GRU): cuDNN can't run it: recurrent_dropout is 0.1, not 0"


def test_xla_does_not_take_cudnn_away(asked):
    recipe = recipes.get_recipe("digits")
    data = recipe.load_data()
    model = recipe.build_model(data)
    training.compile_model(model, recipe, recipe.objective(), data)
    assert model.jit_compile is False
    model(data.test.inputs["features"][:2])
    assert asked, "the recipe's own layers are fit for cuDNN"


def test_the_device_has_a_name():
    kind = "GPU" if devices.has_gpu() else "CPU"
    assert devices.device_name().startswith(kind + " (")
