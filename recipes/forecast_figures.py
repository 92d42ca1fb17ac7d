"""Pictures of forecasts: beside what came, with intervals, and their errors by how far ahead they look."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from recipes import report
from recipes.forecast_data import measured

if TYPE_CHECKING:
    import keras

    from recipes.data import Data, Split

MOMENTS = 3
SHOWN = 2
"""How many horizons of the past are drawn."""


def error_by_step(errors: Mapping[str, np.ndarray]) -> Markup:
    """Draws how errors grow.

    Args:
        errors: Whose they are -> the error at each step ahead, (horizon,).

    Returns:
        A figure.
    """
    figure, axes = report.themed_axes(6.4, 2.9)
    colours = ("accent", "second", "muted")
    for (name, error), colour in zip(errors.items(), colours, strict=True):
        steps = np.arange(1, len(error) + 1)
        axes.plot(
            steps, error, color=report.LIGHT[colour], label=name, linewidth=2, marker="." if len(error) < 40 else ""
        )
    axes.set(xlabel="steps ahead", ylim=(0, None))
    axes.legend(frameon=False, fontsize=10)
    return Markup('<div class="panels">{}</div>').format(
        report.inline_svg(figure, "mean squared error by steps ahead, of the model and the baselines")
    )


def with_intervals(model: "keras.Model", data: "Data", confidence: float) -> tuple[Markup, float]:
    """Draws forecasts beside what came.

    Args:
        model: Trained.
        data: Its validation part gives the intervals, its metadata the scale.
        confidence: The share of the validation part's errors that the intervals hold, at each step ahead.

    Returns:
        The figures, and the share of the test part's values within the intervals.
    """
    missed = measured(data.validation.targets - _predict(model, data.validation), data.validation)
    low, high = np.nanquantile(missed, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    forecasts, truth = _predict(model, data.test), measured(data.test.targets, data.test)
    within = (truth >= forecasts + low) & (truth <= forecasts + high)
    covered = float(within[~np.isnan(truth)].mean())
    rows = np.linspace(0, len(truth) - 1, MOMENTS + 2, dtype=int)[1:-1]
    pictures = [
        _panel(data, data.test.inputs["features"][row, :, 0], truth[row], forecasts[row], forecasts[row] + [low, high])
        for row in rows
    ]
    return Markup('<div class="panels">{}</div>').format(Markup("").join(pictures)), covered


def _panel(data: "Data", past: np.ndarray, truth: np.ndarray, forecast: np.ndarray, band: np.ndarray) -> Markup:
    mean, deviation = data.metadata["mean"], data.metadata["standard_deviation"]
    past, truth, forecast, band = (deviation * np.asarray(part) + mean for part in (past, truth, forecast, band))
    figure, axes = report.themed_axes()
    ahead = np.arange(1, len(truth) + 1)
    shown = past[-SHOWN * len(truth) :]
    axes.plot(np.arange(1 - len(shown), 1), shown, color=report.LIGHT["muted"], label="past")
    axes.plot(ahead, truth, color=report.LIGHT["ink"], label="truth")
    axes.plot(ahead, forecast, color=report.LIGHT["accent"], label="forecast", linewidth=2)
    axes.fill_between(ahead, band[0], band[1], color=report.LIGHT["accent"], alpha=0.2, linewidth=0)
    axes.set(xlabel="steps", ylabel=data.metadata["unit"])
    axes.legend(frameon=False, fontsize=9)
    return report.inline_svg(figure, "a forecast with its interval beside what came")


def _predict(model: "keras.Model", split: "Split") -> np.ndarray:
    return np.asarray(model.predict(split.inputs["features"], batch_size=256, verbose=0))
