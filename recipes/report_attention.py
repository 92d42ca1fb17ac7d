"""Where a model looks, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from recipes.report_figures import LIGHT, inline_svg, themed_axes

if TYPE_CHECKING:
    import numpy as np

_INCH = 0.26
"""Side of a cell."""


def attention_map(weights: np.ndarray, written: Sequence[str], read: Sequence[str], label: str) -> Markup:
    """Draws the weights of an attention: a row for each token written, a column for each token read.

    Args:
        weights: (written, read), each row a distribution.
        written: The tokens written, from the first on.
        read: The tokens read.
        label: What the figure shows, for those who do not see it.

    Returns:
        The figure; the darker a cell, the larger its weight.

    Raises:
        ValueError: The weights are not of the tokens' numbers.
    """
    from matplotlib.patches import Rectangle

    if weights.shape != (len(written), len(read)):
        raise ValueError(f"weights {weights.shape} do not fit {len(written)} tokens written, {len(read)} read")
    figure, axes = themed_axes(2.2 + _INCH * len(read), 1.4 + _INCH * len(written))
    axes.grid(visible=False)
    for row, column in zip(*(weights >= 0.01).nonzero(), strict=True):
        # A themed colour with an opacity follows the page's mode; the colours of a colour map would not.
        cell = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=LIGHT["accent"], alpha=float(weights[row, column]))
        axes.add_patch(cell)
    axes.set(xlim=(-0.5, len(read) - 0.5), ylim=(len(written) - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(len(read)), list(read), rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(written)), list(written))
    axes.xaxis.tick_top()
    return inline_svg(figure, label)
