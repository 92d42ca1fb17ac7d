"""Series that reservoirs are tried on, made from their equations; the same ones for the same seed."""

import numpy as np

MACKEY_GLASS_DELAY = 17
SETTLING = 1000
"""Steps that are left out at the start: until then a series still depends on where it began."""


def mackey_glass(count: int, steps: int, seed: int) -> np.ndarray:
    """Integrates y' = 0.2 y(t-17) / (1 + y(t-17)^10) - 0.1 y (Mackey & Glass 1977), by Runge and Kutta, step 0.1.

    Args:
        count: How many series, each from a start of its own.
        steps: Length of each, one value for each unit of time.
        seed: Of the starts.

    Returns:
        (count, steps, 1) float64: tanh(y - 1), as in Jaeger 2001, GMD report 148.
    """
    finer, width = 10, 0.1
    delay = MACKEY_GLASS_DELAY * finer
    total = (SETTLING + steps) * finer
    y = np.empty((delay + 1 + total, count))
    y[: delay + 1] = 1.2 + np.random.default_rng(seed).uniform(-0.1, 0.1, (delay + 1, count))

    def slope(now: np.ndarray, then: np.ndarray) -> np.ndarray:
        return 0.2 * then / (1 + then**10) - 0.1 * now

    for at in range(delay, delay + total):
        now, then, after = y[at], y[at - delay], y[at - delay + 1]
        between = (then + after) / 2
        k1 = slope(now, then)
        k2 = slope(now + width / 2 * k1, between)
        k3 = slope(now + width / 2 * k2, between)
        k4 = slope(now + width * k3, after)
        y[at + 1] = now + width / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return np.tanh(y[delay + 1 + SETTLING * finer :: finer].T[..., None] - 1)


def lorenz(count: int, steps: int, seed: int) -> np.ndarray:
    """Integrates Lorenz's convection (1963): sigma 10, rho 28, beta 8/3, by Runge and Kutta.

    Args:
        count: How many series, each from a start of its own.
        steps: Length of each, 0.02 units of time apart.
        seed: Of the starts.

    Returns:
        (count, steps, 3) float64: x, y and z, brought to mean 0 and deviation 1 by the attractor's known ones.
    """
    finer, width = 4, 0.005
    state = np.random.default_rng(seed).uniform((-1, -1, 24), (1, 1, 26), (count, 3))

    def slope(at: np.ndarray) -> np.ndarray:
        x, y, z = at.T
        return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=-1)

    found = []
    for step in range((SETTLING + steps) * finer):
        k1 = slope(state)
        k2 = slope(state + width / 2 * k1)
        k3 = slope(state + width / 2 * k2)
        k4 = slope(state + width * k3)
        state = state + width / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        if step >= SETTLING * finer and step % finer == 0:
            found.append(state)
    return (np.stack(found, axis=1) - [0, 0, 23.5]) / [7.9, 9.0, 8.6]


def narma10(count: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drives the nonlinear moving average of order 10 (Atiya & Parlos 2000, doi:10.1109/72.846741) by noise.

    y_{t+1} = 0.3 y_t + 0.05 y_t sum_{i=0..9} y_{t-i} + 1.5 u_{t-9} u_t + 0.1, u uniform in [0, 0.5].

    Args:
        count: How many series.
        steps: Length of each.
        seed: Of the noise.

    Returns:
        u and y, each (count, steps, 1) float64; y_{t+1} stands beside u_t, for it is what u_t is to predict. Series
        that run away to infinity, as few do, are drawn anew.
    """
    random = np.random.default_rng(seed)
    inputs, outputs = [], []
    while len(inputs) < count:
        u, y = random.uniform(0, 0.5, 10 + steps), np.zeros(11 + steps)
        for t in range(9, 9 + steps):
            y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t - 9] * u[t] + 0.1
            if y[t + 1] > 1:
                break
        else:
            inputs.append(u[9 : 9 + steps, None])
            outputs.append(y[10 : 10 + steps, None])
    return np.stack(inputs), np.stack(outputs)
