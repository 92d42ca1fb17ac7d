"""Pictures of memories: answers, how far gradients reach, where a Turing machine's heads were."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from recipes import report


def bits(truth: np.ndarray, said: np.ndarray) -> Markup:
    """Draws what was to be said beside what was.

    Args:
        truth: (answers, bits) of one sequence.
        said: Alike, logits.

    Returns:
        A figure.
    """
    return _panels(
        _picture(truth.T, "what was to be said", "answer", "bit"),
        _picture(1 / (1 + np.exp(-said.T.astype("float64"))), "what the model said, as probabilities", "answer", "bit"),
    )


def numbers(truth: np.ndarray, said: np.ndarray) -> Markup:
    """Draws numbers beside the truth: single ones against each other, of several in a row the first sequence.

    Args:
        truth: (sequences, answers, numbers).
        said: Alike.

    Returns:
        A figure.
    """
    figure, axes = report.themed_axes(6.4, 2.9)
    if truth.shape[1] == 1:
        axes.plot(truth[:, 0, 0], said[:, 0, 0], ".", color=report.LIGHT["accent"], markersize=3)
        axes.set(xlabel="truth", ylabel="model")
    else:
        axes.plot(truth[0, :, 0], color=report.LIGHT["muted"], linewidth=3, label="truth")
        axes.plot(said[0, :, 0], color=report.LIGHT["accent"], linewidth=1.5, label="model")
        axes.set(xlabel="steps")
        axes.legend(frameon=False, fontsize=10)
    return _panels(report.inline_svg(figure, "the truth and what the model said"))


def gradient_flow(gradients: Mapping[str, np.ndarray]) -> Markup:
    """Draws how much of the gradient reaches each step.

    Args:
        gradients: Layer -> derivative of the loss by its states, (batch, time, units).

    Returns:
        A figure.
    """
    figure, axes = report.themed_axes(6.4, 2.9)
    colours = ("accent", "second", "good", "bad")
    steps = max(gradient.shape[1] for gradient in gradients.values())
    for place, (name, gradient) in enumerate(gradients.items()):
        norms = np.sqrt((gradient.astype("float64") ** 2).sum(axis=(0, 2)))
        # A logarithm has no zero: where nothing arrives the line ends.
        seen = np.where(norms > 0, norms, np.nan)
        axes.semilogy(report.ticks(len(norms), steps), seen, color=report.LIGHT[colours[place % 4]], label=name)
    axes.set(xlabel="steps", ylabel="norm of the gradient")
    axes.legend(frameon=False, fontsize=9)
    return _panels(report.inline_svg(figure, "norm of the gradient at each step"))


def heads(write: np.ndarray, read: np.ndarray) -> Markup:
    """Draws where the heads of a Turing machine were.

    Args:
        write: (time, heads, slots).
        read: Alike.

    Returns:
        A figure for each head.
    """
    named = [(f"write head {head + 1}", write[:, head]) for head in range(write.shape[1])]
    named += [(f"read head {head + 1}", read[:, head]) for head in range(read.shape[1])]
    return _panels(*(_picture(weights.T, name, "steps", "slots") for name, weights in named))


def _picture(values: np.ndarray, title: str, across: str, up: str) -> Markup:
    figure, axes = report.themed_axes()
    axes.grid(visible=False)
    axes.imshow(values, aspect="auto", cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xlabel=across, ylabel=up)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.set_title(title, size=10, color=report.LIGHT["ink"])
    return report.inline_svg(figure, title)


def _panels(*pictures: Any) -> Markup:
    return Markup('<div class="panels">{}</div>').format(Markup("").join(pictures))
