"""What the report shows of trees whose nodes are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from recipes import report
from recipes.labelled_trees import TreeSplit
from recipes.report_figures import LIGHT, inline_svg, themed_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from recipes.data import Ragged

COLOURS = ("bad", "second", "muted", "accent", "good")
"""Of the classes, from the worst to the best."""
SIGNS = ("\u2212 \u2212", "\u2212", "0", "+", "+ +")
BINS = (1, 2, 3, 5, 8, 13, 21, 34, 1000)
"""Phrases of a number of words from each of these, and below the next, are counted together."""
SHOWN, LEAST, MOST = 4, 6, 10
"""How many trees are drawn, and how many words they have."""


def confusion(truth: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> report.Section:
    """Counts which class of a sentence was taken for which.

    Args:
        truth: Of each root.
        predicted: Of each root.
        labels: The names of the classes.

    Returns:
        The section.
    """
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(matrix, (truth, predicted), 1)
    caption = f"The roots of {len(truth):,} test trees: what raters felt, and what the model named."
    return report.Section("Confusion matrix", report.confusion_matrix(matrix, labels), caption)


def by_length(split: TreeSplit, named: Ragged) -> report.Section:
    """Draws how well phrases are named, over their length.

    Args:
        split: The trees.
        named: The class of each node.

    Returns:
        The section.
    """
    words = np.concatenate([split.sizes(row) for row in range(len(split))])
    right = named.values == split.targets.values
    places = np.digitize(words, BINS)
    kinds = [place for place in range(1, len(BINS)) if (places == place).any()]
    counts = [int((places == place).sum()) for place in kinds]
    shares = [float(right[places == place].mean()) for place in kinds]
    names = [_range(BINS[place - 1], BINS[place] - 1) for place in kinds]
    figure, axes = themed_axes(6.4, 2.9)
    axes.bar(names, shares, color=LIGHT["accent"], width=0.6)
    for place, (share, count) in enumerate(zip(shares, counts, strict=True)):
        axes.annotate(f"{share:.0%}", (place, share), (0, 4), textcoords="offset points", ha="center", size=9)
        axes.annotate(f"{count:,}", (place, 0), (0, 4), textcoords="offset points", ha="center", size=8, color="white")
    axes.set(xlabel="words in the phrase", ylabel="named rightly", ylim=(0, 1.1))
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    facts = ", ".join(f"{name} words {share:.0%}" for name, share in zip(names, shares, strict=True))
    html = inline_svg(figure, f"share of phrases that are named rightly, by length: {facts}")
    return report.Section("Phrases by length", html, "All nodes of the test trees; in each bar, how many there are.")


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}" if last < BINS[-1] - 1 else f"{first} or more"


def gallery(split: TreeSplit, named: Ragged, labels: Sequence[str]) -> report.Section:
    """Draws trees with what the model feels at each node.

    Args:
        split: The trees; the first of a length that a page can hold are drawn.
        named: The class of each node.
        labels: The names of the classes.

    Returns:
        The section.
    """
    fitting = [row for row in range(len(split)) if LEAST <= len(split.words[row]) <= MOST]
    figures = [_draw(split, row, named[row], labels) for row in fitting[:SHOWN]]
    key = ", ".join(f"{sign} {label}" for sign, label in zip(SIGNS, labels, strict=True))
    caption = f"Each node's sign is the model's: {key}. Where raters felt otherwise, theirs stands in brackets."
    return report.Section("Trees", Markup("").join(figures), caption)


def _draw(split: TreeSplit, row: int, named: np.ndarray, labels: Sequence[str]) -> Markup:
    children, truth, words = split.inputs["children"][row], split.targets[row], split.words[row]
    x, y = np.zeros(len(children)), np.zeros(len(children))
    figure, axes = themed_axes(1 + 0.72 * MOST, 1.2 + 0.42 * int(split.levels.lengths[row]))
    for number in range(1, len(children)):
        below = children[number][children[number] > 0]
        x[number] = x[below].mean() if len(below) else number
        y[number] = y[below].max() + 1 if len(below) else 0
        for child in below:
            axes.plot(x[[number, child]], y[[number, child]], color=LIGHT["rule"], linewidth=1.5, zorder=1)
    for number in range(1, len(children)):
        _mark(axes, x[number], y[number], int(named[number]), int(truth[number]))
    for place, word in enumerate(words, start=1):
        axes.annotate(word, (place, 0), (0, -14), textcoords="offset points", ha="center", va="top", size=9)
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[], xlim=(0.4, MOST + 0.6), ylim=(-1, y.max() + 0.5))
    root = f"the model: {labels[int(named[len(children) - 1])]}, raters: {labels[int(truth[-1])]}"
    return inline_svg(figure, f"tree of {' '.join(words)!r}; {root}")


def _mark(axes: Axes, x: float, y: float, named: int, truth: int) -> None:
    text = SIGNS[named] if named == truth else f"{SIGNS[named]} ({SIGNS[truth]})"
    box = {"facecolor": LIGHT["card"], "edgecolor": LIGHT[COLOURS[named]], "boxstyle": "round,pad=0.25"}
    axes.annotate(text, (x, y), ha="center", va="center", size=8, color=LIGHT[COLOURS[named]], bbox=box, zorder=2)
