"""The framework's gradients against backpropagation through time by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from zoo.cells import CELLS


@pytest.mark.parametrize("cell", list(reference.GRADIENTS))
@pytest.mark.parametrize("last_only", [False, True], ids=["every step", "last step"])
def test_framework_gradients_equal_hand_derived_ones(cell: str, last_only: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 9, 4)).astype("float32")
    layer = CELLS[cell](5, name="layer", return_sequences=True)
    layer.build(x.shape)
    layer.set_weights([rng.normal(scale=0.6, size=weight.shape) for weight in layer.get_weights()])
    upstream = rng.normal(size=(3, 9, 5)).astype("float32")
    if last_only:
        upstream[:, :-1] = 0
    inputs = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = keras.ops.sum(layer(inputs) * upstream)
    got = tape.gradient(loss, [*(weight.value for weight in layer.trainable_weights), inputs])
    wanted = reference.GRADIENTS[cell](x, layer.get_weights(), upstream)
    for framework, by_hand in zip(got, wanted, strict=True):
        np.testing.assert_allclose(framework, by_hand, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cell", list(reference.GRADIENTS))
def test_the_hand_derived_gradients_equal_finite_differences(cell: str) -> None:
    rng = np.random.default_rng(1)
    x, upstream = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 4))
    layer = CELLS[cell](4, name="layer")
    layer.build(x.shape)
    weights = [rng.normal(scale=0.6, size=weight.shape) for weight in layer.get_weights()]
    for weight, gradient in zip(weights, reference.GRADIENTS[cell](x, weights, upstream), strict=False):
        place, step = tuple(rng.integers(0, size) for size in weight.shape), 1e-6
        losses = []
        for sign in (1, -1):
            weight[place] += sign * step
            losses.append((reference.recurrence(cell, x, weights) * upstream).sum())
            weight[place] -= sign * step
        assert gradient[place] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-6, abs=1e-8)
