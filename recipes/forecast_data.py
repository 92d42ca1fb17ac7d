"""A series with gaps: what was filled in may be read, but is neither learned nor judged."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from recipes.data import Batch, Data, Split
from recipes.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Windows(Split):
    """A part of a series with gaps, cut into windows.

    Attributes:
        known: Which of the targets were measured, of their shape.
    """

    known: np.ndarray

    def batch(self, rows: np.ndarray) -> Batch:
        """Puts windows side by side; a target that was filled in has no weight."""
        inputs, targets, _ = super().batch(rows)
        return inputs, targets, self.known[rows].astype("float32")


class SquaredError(keras.losses.Loss):
    """The mean of the squared errors, each with its own weight: Keras's takes one for all steps of a window."""

    def __init__(self) -> None:
        """Makes the loss."""
        super().__init__(name="squared_error", reduction="mean_with_sample_weight")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(windows, steps) -> (windows, steps)."""
        return ops.square(y_pred - ops.cast(y_true, y_pred.dtype))


def absolute_error() -> keras.metrics.Metric:
    """The mean of the absolute errors, each with its own weight, as `mae`."""
    return keras.metrics.MeanMetricWrapper(_absolute, name="mae")


def without_gaps(values: np.ndarray) -> np.ndarray:
    """What is missing was known last when the forecast would have been made: the value before it."""
    places = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(places)]


def scale(values: np.ndarray, name: str) -> tuple[float, float]:
    """Fits the scale.

    Args:
        values: Of the training part.
        name: Of the series, for errors.

    Returns:
        Mean and deviation.

    Raises:
        UsageError: There is no deviation, or no finite one.
    """
    with np.errstate(over="ignore"):
        mean, deviation = float(values.mean()), float(values.std())
    if values.min() == values.max():
        raise UsageError(f"forecast: {name} has the same value, {mean:g}, all through the training part")
    if deviation == np.inf:
        raise UsageError(f"forecast: {name} has too large values, up to {np.abs(values).max():g}; divide them")
    return mean, deviation


def windows(values: np.ndarray, known: np.ndarray, history: int, horizon: int) -> Split:
    """Cuts a part of a series into windows.

    Args:
        values: Its values, scaled, those that are only read in front.
        known: Which of them were measured.
        history: How many are read.
        horizon: How many are forecast.

    Returns:
        The windows; `Windows` where the series has gaps.
    """
    views = np.lib.stride_tricks.sliding_window_view
    cut, measured = views(values, history + horizon), views(known, history + horizon)[:, history:]
    inputs, targets = {"features": cut[:, :history, None]}, cut[:, history:]
    return Split(inputs, targets) if measured.all() else Windows(inputs, targets, measured)


def measured(errors: np.ndarray, split: Split) -> np.ndarray:
    """Marks the errors of what was filled in.

    Args:
        errors: (windows, steps).
        split: The windows.

    Returns:
        The same with NaN where the target was filled in.
    """
    return np.where(split.known, errors, np.nan) if isinstance(split, Windows) else errors


def refuse_what_is_not_known(data: Data, name: str) -> None:
    """Refuses a part in which nothing was measured.

    Args:
        data: The parts.
        name: Of the series, for the error.

    Raises:
        UsageError: Everything that a part forecasts was filled in.
    """
    for part in ("train", "validation", "test"):
        split = getattr(data, part)
        if isinstance(split, Windows) and not split.known.any():
            raise UsageError(f"forecast: {name}: all that its {part} part forecasts was filled in; bring more values")


def _absolute(y_true: Any, y_pred: Any) -> Any:
    return ops.abs(y_pred - ops.cast(y_true, y_pred.dtype))
