"""The regulariser that keeps the gradient's norm, against equations 9 and 10 in NumPy; and Keras's own clipping."""

import keras
import numpy as np
import pytest

from zoo.training import NormPreservingCell, omega, state_gradients

X = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
TARGETS = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")


def network(strength: float = 0.0, seed: int = 2, time: int | None = None) -> keras.Model:
    inputs = keras.Input((time, 4))
    layer = keras.layers.RNN(NormPreservingCell(5, strength=strength), name="layer", return_sequences=True)
    model = keras.Model(inputs, layer(inputs)[:, -1])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(scale=0.6, size=weight.shape) for weight in model.get_weights()])
    return model


def states_and_deltas(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """h_t and dL/dh_t in NumPy, float64, for the mean squared error of the last state."""
    w, u, b = (np.asarray(weight, np.float64) for weight in model.get_weights())
    h, state = np.zeros((3, 7, 5)), np.zeros((3, 5))
    for t in range(7):
        h[:, t] = state = np.tanh(X[:, t] @ w + state @ u + b)
    deltas = np.zeros_like(h)
    deltas[:, -1] = 2 * (h[:, -1] - TARGETS) / TARGETS.size
    for t in reversed(range(6)):
        deltas[:, t] = (deltas[:, t + 1] * (1 - h[:, t + 1] ** 2)) @ u.T
    return h, deltas


def equation_9(h: np.ndarray, deltas: np.ndarray, u: np.ndarray) -> float:
    total = 0.0
    for row in range(3):
        for t in range(7):
            if deltas[row, t].any():
                jacobian = np.diag(1 - h[row, t] ** 2) @ u.T
                ratio = np.linalg.norm(deltas[row, t] @ jacobian) / np.linalg.norm(deltas[row, t])
                total += (ratio - 1) ** 2
    return total / 3


def test_omega_equals_equation_9() -> None:
    model = network()
    h, deltas = states_and_deltas(model)
    kernel = model.get_weights()[1]
    expected = equation_9(h, deltas, kernel.astype(np.float64))
    assert float(omega(deltas.astype("float32"), h.astype("float32"), kernel)) == pytest.approx(expected, rel=1e-4)
    model.compile("sgd", loss="mse")
    recorded = state_gradients(model, X, TARGETS)["layer"]
    np.testing.assert_allclose(recorded, deltas, atol=1e-6)


def test_omega_holds_for_gradients_that_have_almost_vanished() -> None:
    model = network()
    h, deltas = states_and_deltas(model)
    kernel = model.get_weights()[1]
    expected = equation_9(h, deltas, kernel.astype(np.float64))
    tiny = float(omega((deltas * 1e-28).astype("float32"), h.astype("float32"), kernel))
    assert tiny == pytest.approx(expected, rel=1e-2)
    assert float(omega(np.zeros_like(deltas, "float32"), h.astype("float32"), kernel)) == 0


def moved(strength: float) -> list[np.ndarray]:
    """The gradient that training uses: what one step of SGD with rate 1 takes off the weights."""
    model = network(strength)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    model.train_on_batch(X, TARGETS)
    return [one - other for one, other in zip(before, model.get_weights(), strict=True)]


@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_the_recurrent_kernel_gets_the_immediate_derivative_of_omega(strength: float) -> None:
    """Equation 10: states and dL/dh_t held constant, finite differences by each entry of U."""
    model = network()
    h, deltas = states_and_deltas(model)
    kernel, step = model.get_weights()[1].astype(np.float64), 1e-6
    expected = np.zeros_like(kernel)
    for place in np.ndindex(kernel.shape):
        shift = np.zeros_like(kernel)
        shift[place] = step
        slope = equation_9(h, deltas, kernel + shift) - equation_9(h, deltas, kernel - shift)
        expected[place] = slope / (2 * step)
    plain, regularised = moved(0.0), moved(strength)
    np.testing.assert_allclose(regularised[1] - plain[1], strength * expected, atol=1e-4 * strength)
    for index in (0, 2):
        np.testing.assert_allclose(regularised[index], plain[index], atol=1e-6)


def test_without_strength_it_is_the_plain_cell() -> None:
    model = network()
    inputs = keras.Input((None, 4))
    plain = keras.Model(inputs, keras.layers.SimpleRNN(5)(inputs))
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(model(X), plain(X), atol=1e-6)
    before = plain.get_weights()
    plain.compile(keras.optimizers.SGD(1.0), loss="mse")
    plain.train_on_batch(X, TARGETS)
    for gradient, one, other in zip(moved(0.0), before, plain.get_weights(), strict=True):
        np.testing.assert_allclose(gradient, one - other, atol=1e-6)


@pytest.mark.slow
def test_training_with_it_brings_the_gradient_back() -> None:
    """From a recurrence that forgets: the norm of what reaches the first step, before and after."""
    reached = {}
    for strength in (0.0, 1.0):
        model = network(strength, seed=4)
        kernel, recurrent, bias = model.get_weights()
        model.set_weights([0.1 * kernel, 0.2 * recurrent, bias * 0])
        model.compile(keras.optimizers.SGD(0.02), loss="mse")
        model.fit(X, TARGETS, epochs=60, verbose=0)
        gradients = state_gradients(model, X, TARGETS)["layer"]
        reached[strength] = np.linalg.norm(gradients[:, 0]) / np.linalg.norm(gradients[:, -1])
    assert reached[1.0] > 100 * reached[0.0]


def test_the_strength_survives_a_reload() -> None:
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(NormPreservingCell(3, 2.5)))
    assert copy.strength == 2.5


def test_what_the_equation_does_not_hold_for_is_refused() -> None:
    with pytest.raises(ValueError, match="strength must be at least 0, got -1"):
        NormPreservingCell(3, strength=-1)
    with pytest.raises(ValueError, match="has tanh in its equation"):
        NormPreservingCell(3, activation="relu")
    with pytest.raises(ValueError, match="computes in float32, not float16"):
        NormPreservingCell(3, dtype="mixed_float16")


def gradients_of(limit: dict[str, float]) -> list[np.ndarray]:
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, keras.layers.SimpleRNN(5)(inputs))
    model.set_weights(network().get_weights())
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0, **limit), loss="mse")
    model.train_on_batch(X, 10 * TARGETS)
    return [one - other for one, other in zip(before, model.get_weights(), strict=True)]


def test_keras_clips_as_the_equations_say() -> None:
    free, limit = gradients_of({}), 0.3
    norms = [np.linalg.norm(gradient) for gradient in free]
    together = np.sqrt(sum(norm**2 for norm in norms))
    assert min(norms) > limit
    for got, gradient in zip(gradients_of({"clipvalue": limit}), free, strict=True):
        np.testing.assert_allclose(got, np.clip(gradient, -limit, limit), atol=1e-6)
    for got, gradient, norm in zip(gradients_of({"clipnorm": limit}), free, norms, strict=True):
        np.testing.assert_allclose(got, gradient * limit / norm, atol=1e-6)
    # Pascanu et al. 2013, algorithm 1: the direction of the whole stays.
    for got, gradient in zip(gradients_of({"global_clipnorm": limit}), free, strict=True):
        np.testing.assert_allclose(got, gradient * limit / together, atol=1e-6)
    for got, gradient in zip(gradients_of({"global_clipnorm": 2 * together}), free, strict=True):
        np.testing.assert_allclose(got, gradient, atol=1e-6)
