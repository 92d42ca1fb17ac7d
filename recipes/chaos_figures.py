"""Pictures of reservoirs: what they predict beside what came, how errors grow, what their units do."""

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from recipes import report

if TYPE_CHECKING:
    import keras

SERIES = 3
STEPS, UNITS = 150, 60


def beside(truth: np.ndarray, predicted: np.ndarray) -> Markup:
    """Draws some series and their predictions; of several variables the first.

    Args:
        truth: (series, time, features).
        predicted: Alike.

    Returns:
        Figures.
    """
    pictures = []
    for row in np.linspace(0, len(truth) - 1, min(SERIES, len(truth)), dtype=int):
        figure, axes = report.themed_axes()
        axes.plot(truth[row, -STEPS:, 0], color=report.LIGHT["muted"], label="truth", linewidth=3)
        axes.plot(predicted[row, -STEPS:, 0], color=report.LIGHT["accent"], label="model", linewidth=1.5)
        axes.set(xlabel="steps")
        axes.legend(frameon=False, fontsize=9)
        pictures.append(report.inline_svg(figure, f"test series {row}: truth and model"))
    return Markup('<div class="panels">{}</div>').format(Markup("").join(pictures))


def growth(by_step: np.ndarray) -> Markup:
    """Draws an error that grows by orders of magnitude.

    Args:
        by_step: (steps,).

    Returns:
        A figure.
    """
    figure, axes = report.themed_axes(6.4, 2.9)
    axes.semilogy(np.arange(1, len(by_step) + 1), by_step, color=report.LIGHT["accent"], linewidth=2)
    axes.set(xlabel="steps on its own", ylabel="NRMSE")
    return Markup('<div class="panels">{}</div>').format(
        report.inline_svg(figure, "error of the free run by its length")
    )


def states(model: "keras.Model", features: np.ndarray) -> Markup:
    """Draws the states of a reservoir, its liveliest units first.

    Args:
        model: With a layer `reservoir`.
        features: What it hears, (1, time, features).

    Returns:
        A figure.
    """
    import keras
    from matplotlib.figure import Figure

    runner = keras.Model(model.inputs, model.get_layer("reservoir").output)
    values = np.asarray(runner.predict_on_batch(features))[0]
    liveliest = np.argsort(-values.std(axis=0))[:UNITS]
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    above.plot(features[0], color=report.LIGHT["accent"], linewidth=1.5)
    picture = below.imshow(values[:, liveliest].T, aspect="auto", cmap="RdBu_r", interpolation="nearest")
    figure.colorbar(picture, ax=below, pad=0.01)
    below.set(xlabel="steps", ylabel="units")
    for axes in (above, below):
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=9, labelcolor=report.LIGHT["muted"])
        axes.xaxis.label.set(color=report.LIGHT["muted"], size=10)
        axes.yaxis.label.set(color=report.LIGHT["muted"], size=10)
    return Markup('<div class="panels">{}</div>').format(report.inline_svg(figure, "states of the reservoir's units"))
