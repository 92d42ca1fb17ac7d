"""Random models of every form that users bring, through every format, judged by the plain runtimes."""

from pathlib import Path
from typing import Any

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st

import export
from tests.export import judging, random_models
from tests.export.random_forms import FORMS
from tests.export.random_models import Sample, Seeded


class Drawn:
    """Choices from hypothesis."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def pick(self, options: Any) -> Any:
        return self._draw(st.sampled_from(list(options)))


@st.composite
def samples(draw: Any, form: str | None = None) -> Sample:
    """Random models in single precision."""
    keras.backend.clear_session()
    return random_models.make(Drawn(draw), form, "float32")


def check(sample: Sample, fmt: str, folder: Path) -> None:
    """Exports, which verifies; then asks the runtime itself, on inputs of our own."""
    keras_says_no = _keras_refuses(sample)
    hypothesis.assume(not keras_says_no)
    path = folder / f"model{judging.SUFFIXES[fmt]}"
    artifact = export.export_model(sample.model, path, input_signature=sample.signature)
    assert artifact.report.passed
    batch = sample.feeds[0].shape[0] or 5
    renamed = dict(zip((f.name for f in sample.feeds), _names(sample, artifact.path), strict=True))
    for size, time, pad in ((batch, 11, True), (sample.feeds[0].shape[0] or 2, 3, False)):
        arrays = judging.feed(sample.feeds, size, time, pad=pad, seed=time)
        problem = judging.disagreement(sample, path, arrays, renamed)
        assert problem == "", f"{sample.traits}: {problem}"


def _keras_refuses(sample: Sample) -> bool:
    """Keras itself fails on a few of the forms: RNN over a list of one cell with a mask, say."""
    try:
        sample(judging.feed(sample.feeds, sample.feeds[0].shape[0] or 5, 11, pad=True))
    except Exception:
        return True
    return False


def _names(sample: Sample, path: Path) -> list[str]:
    """The artifact's input names: Keras's own, but for models whose inputs Keras does not name."""
    names = [port.name for port in export.load_runtime(path).inputs]
    ours = [feed.name for feed in sample.feeds]
    if len(ours) == 1 and sample.traits["form"].startswith(("sequential", "subclassed")):
        return names
    assert set(names) == set(ours)
    return ours


SETTINGS = hypothesis.settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate],  # a model that failed is small enough; exporting hundreds to shrink it is not
)


@pytest.mark.parametrize("fmt", judging.FORMATS)
def test_any_model(fmt: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @hypothesis.settings(SETTINGS, max_examples=1)
    @hypothesis.given(samples())
    def prove(sample: Sample) -> None:
        check(sample, fmt, tmp_path_factory.mktemp("random"))

    prove()


QUICK = {
    "nested": "saved_model",
    "subclassed_dict": "tflite",
    "states": "onnx",
    "encoder_decoder": "tflite",
    "frames": "onnx",
}


@pytest.mark.parametrize(
    ("form", "fmt"),
    [pytest.param(form, QUICK.get(form, "onnx"), marks=[] if form in QUICK else pytest.mark.slow) for form in FORMS],
)
def test_every_form(form: str, fmt: str, tmp_path: Path) -> None:
    sample = random_models.make(Seeded(sum(map(ord, form))), form, "float32")
    check(sample, fmt, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", judging.FORMATS)
@pytest.mark.parametrize("form", FORMS)
def test_the_full_grid(form: str, fmt: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @hypothesis.settings(SETTINGS, max_examples=15)
    @hypothesis.given(samples(form))
    def prove(sample: Sample) -> None:
        check(sample, fmt, tmp_path_factory.mktemp("random"))

    prove()


@pytest.mark.parametrize("fmt", judging.FORMATS)
def test_softplus_neither_overflows_nor_loses_what_is_small(fmt: str, tmp_path: Path) -> None:
    x = keras.Input((None, 1), name="x")
    layer = keras.layers.SimpleRNN(1, activation="softplus", return_sequences=True, name="y")
    model = keras.Model(x, layer(x))
    layer.set_weights([np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)])
    artifact = export.export_model(model, tmp_path, format=fmt)
    values = np.array([-80.0, -20.0, -16.7, -1.0, 0.0, 1.0, 20.0, 88.0, 89.0, 1e4, 1e30], "float32")
    (got,) = judging.plain_runtime(artifact.path)({"x": values.reshape(1, -1, 1)}).values()
    exact = np.logaddexp(values.astype(np.float64), 0)
    # TensorFlow's own gives exp(x) below -14, in which exp is off by as much.
    np.testing.assert_allclose(got.ravel(), exact, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", judging.FORMATS)
@pytest.mark.parametrize("activation", random_models.ACTIVATIONS)
def test_every_activation(activation: str, fmt: str, tmp_path: Path) -> None:
    x = keras.Input((None, 3), name="x")
    outputs = [
        keras.layers.SimpleRNN(3, activation=activation)(x),
        keras.layers.GRU(3, recurrent_activation=activation, return_sequences=True)(x),
        keras.layers.LSTM(2, activation=activation, recurrent_activation=activation)(x),
        keras.layers.Dense(2, activation=activation)(x),
    ]
    model = random_models.randomise(keras.Model(x, outputs))
    # Gates without a bound let larger states explode: to 1e28 in thirty steps, where no two computations agree.
    model.set_weights([0.3 * weight for weight in model.get_weights()])
    assert export.export_model(model, tmp_path, format=fmt).report.passed
