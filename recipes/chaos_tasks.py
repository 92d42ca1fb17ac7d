"""The chaotic series that there are, each with its sizes and the reservoir that suits it."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Task:
    """A task's sizes, and the reservoir that suits it, chosen on the validation part.

    Attributes:
        about: What the series is.
        train: Steps to fit on, the washout included.
        heard: Steps that are heard in a trial.
        horizon: Steps of the free run behind them; 0 where the series does not drive itself.
        washout: Steps at the start of each series that do not count.
        reservoir: Builder's argument -> value, and the readout's ridge.
    """

    about: str
    train: int
    heard: int
    horizon: int
    washout: int
    reservoir: Mapping[str, float]


def _reservoir(
    radius: float, scaling: float, bias: float, leak: float, ridge: float, squares: bool = False
) -> dict[str, float]:
    return {
        "spectral_radius": radius,
        "input_scaling": scaling,
        "bias_scaling": bias,
        "leak_rate": leak,
        "ridge": ridge,
        "squares_to_readout": squares,
    }


TASKS = {
    "mackey_glass": Task(
        "the Mackey-Glass series with delay 17",
        3000,
        1500,
        84,
        1000,
        _reservoir(1.0, 1.3, 0.36, 0.54, 1e-11, squares=True),
    ),
    "narma10": Task(
        "NARMA10: what a nonlinear moving average makes of noise",
        4000,
        2000,
        0,
        200,
        _reservoir(0.95, 0.1, 0.2, 1.0, 1e-8),
    ),
    "lorenz": Task(
        "Lorenz's convection, three variables, 0.02 apart", 5000, 500, 300, 200, _reservoir(0.6, 0.3, 0.5, 1.0, 1e-9)
    ),
    "santa_fe": Task("the Santa Fe laser", 1000, 500, 0, 100, _reservoir(0.5, 3.0, 0.2, 1.0, 1e-5)),
}
