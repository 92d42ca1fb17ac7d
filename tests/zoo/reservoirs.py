"""What the tests of reservoirs share: small ones, and what is inside of them."""

import keras
import numpy as np

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (3, 25, 2)).astype("float32")
ESN = {"features": 2, "targets": 3, "units": 20, "connectivity": 0.2}


def reservoir_weights(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight, np.float64) for weight in model.get_layer("reservoir").get_weights()]


def states_of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(
        keras.Model(model.inputs[0], model.get_layer("reservoir").output).predict(x, verbose=0), np.float64
    )
