"""What counts as padding is what equals the mask value, however few bits the model computes in."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.support import build, call

MODELS: dict[str, dict[str, Any]] = {
    "sequence_tagger": {"features": 3, "classes": 2, "units": (4,)},
    "clockwork_rnn": {"features": 3, "classes": 2, "units": 2},
    "echo_state_network": {"features": 3, "units": 6, "connectivity": 0.5},
    "frame_labeler": {"height": 3, "width": 3, "channels": 1, "classes": 2, "filters": (2,), "units": (4,)},
}
EVERY = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def half_precision(request: pytest.FixtureRequest) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy(before)


def steps(name: str, scale: float = 1.0) -> np.ndarray:
    form = (2, 6, 3, 3, 1) if name == "frame_labeler" else (2, 6, 3)
    return (scale * np.random.default_rng(0).normal(size=form)).astype("float32")


@EVERY
@pytest.mark.usefixtures("half_precision")
def test_a_step_near_the_mask_value_is_no_padding(name: str) -> None:
    # -9.001 is -9 in eleven bits, and 1e-9 is 0 in float16's.
    for value, x in ((-9.0, np.full_like(steps(name), -9.001)), (0.0, steps(name, 1e-9))):
        padding = np.full_like(x, value)
        model = build(name, {**MODELS[name], "mask_value": value})
        mask = [np.asarray(call(model, {"x": part})._keras_mask) for part in (x, padding)]
        assert mask[0].all()
        assert not mask[1].any()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "frame_labeler"])
@pytest.mark.usefixtures("half_precision")
def test_a_mask_value_beyond_half_precision_reaches_nothing(name: str) -> None:
    model, x = build(name, {**MODELS[name], "mask_value": -1e9}), steps(name)
    short = np.asarray(call(model, {"x": x[:, :4]}))
    x[:, 4:] = -1e9
    with tf.GradientTape() as tape:
        outputs = call(model, {"x": x})
        loss = tf.reduce_sum(outputs[:, :4] ** 2)
    np.testing.assert_allclose(np.asarray(outputs)[:, :4], short, atol=1e-3)
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.isfinite(np.asarray(gradient)).all()
