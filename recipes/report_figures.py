"""Plots for a report: Matplotlib figures as inline SVG in the page's colours, and the learning curves."""

from __future__ import annotations

import hashlib
import io
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:  # Matplotlib loads inside the functions: importing `recipes` must stay quick.
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Each colour of the page as (light, dark). A figure is drawn in the light ones; `inline_svg` then turns each of them
# into the page's CSS variable, so that one SVG is legible in both modes.
THEME: dict[str, tuple[str, str]] = {
    "paper": ("#fafaf8", "#15181d"),
    "card": ("#fefefe", "#1c2027"),
    "ink": ("#1d2733", "#e4e8ee"),
    "muted": ("#586472", "#9ba6b4"),
    "rule": ("#dde1e6", "#333a45"),
    "accent": ("#1f5fa8", "#7db5f7"),
    "second": ("#b2571a", "#f0a66a"),
    "good": ("#1b7446", "#62cf96"),
    "bad": ("#b93227", "#ff8d82"),
}
LIGHT = {name: light for name, (light, _) in THEME.items()}
DARK = {name: dark for name, (_, dark) in THEME.items()}

_NOT_PLOTTED = frozenset({"epoch"})


def readable(value: object) -> str:
    """A number as a reader wants it: four digits, no needless exponent; NaN by name; nothing for `None`."""
    if value is None:
        return "—"
    if isinstance(value, (str, bool)):
        return str(value)
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return str(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number) or number == int(number):
        return str(number) if math.isinf(number) else str(int(number))
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.4g}" if abs(number) >= 1e-3 else f"{number:.3g}"


def themed_axes(width: float = 4.4, height: float = 2.75) -> tuple[Figure, Axes]:
    """An empty plot in the page's style: no frame, light grid, whole page's colours.

    Args:
        width: Width in inches; the page scales it to the column.
        height: Height in inches.

    Returns:
        The figure, for `inline_svg`, and its axes, to draw on with colours from `LIGHT`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    axes.grid(axis="y", color=LIGHT["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6, labelsize=10, labelcolor=LIGHT["muted"])
    axes.xaxis.label.set(color=LIGHT["muted"], size=10)
    axes.yaxis.label.set(color=LIGHT["muted"], size=10)
    return figure, axes


def inline_svg(figure: Figure, label: str) -> Markup:
    """Any Matplotlib figure as SVG to stand inside a page: themed, named, without ids that clash.

    Args:
        figure: The figure; its background is dropped, black and the colours of `LIGHT` follow the page's mode.
        label: What the figure shows, in words, for those who do not see it.

    Returns:
        One `<svg>` element, the same for the same figure and label.
    """
    import matplotlib

    buffer = io.StringIO()
    # Text stays text: the page's own font, selectable, a tenth of the bytes. The salt makes ids repeatable.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "seqzoo"}), warnings.catch_warnings():
        # The browser has the letters that Matplotlib's font lacks; only the layout's measure is a guess then.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # Gone: the metadata, which holds addresses, and a style sheet that would rule the whole page.
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = svg.replace("xlink:href=", "href=").replace("#000000", LIGHT["ink"])
    for name, colour in LIGHT.items():
        svg = re.sub(rf"(fill|stroke): {colour}\b", rf"\1: var(--{name}, {colour})", svg)
    # Matplotlib calls its parts `figure_1`, `line2d_1` in every figure; a digest before each keeps figures apart.
    mark = "f" + hashlib.sha256((label + svg).encode()).hexdigest()[:10]
    svg = re.sub(r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{mark}-", svg)
    view_box = re.search(r"viewBox=\"[^\"]*\"", svg)
    opening = Markup('<svg class="plot" role="img" data-figure="{}" aria-label="{}" {} {}>').format(
        mark, label, Markup(view_box.group() if view_box else ""), Markup('stroke-linejoin="round"')
    )
    return Markup(opening + Markup(svg[svg.index(">") + 1 :].strip()))


def ticks(count: int, steps: int) -> range:
    """Says at which steps a layer has states: a module of a clockwork network has them at every n-th only.

    Args:
        count: How many states it has.
        steps: How many steps the sequence has.
    """
    return range(0, steps, max(1, -(-steps // count)))


def learning_curves(rows: Sequence[Mapping[str, float]], *, best_epoch: int | None = None) -> Markup:
    """One plot for each metric over the epochs, training and validation together, the best epoch marked.

    Args:
        rows: One mapping an epoch, as in `metrics.csv`: `epoch`, then any metrics. `accuracy` and `val_accuracy`
            share a plot; a metric that stands alone gets one too.
        best_epoch: The epoch to mark; without it, the one with the least `val_loss`, or `loss` if nothing was
            validated.

    Returns:
        A `<div>` of figures with a legend; a sentence if no epoch was finished.

    Raises:
        ValueError: If `best_epoch` is not among the rows.
    """
    if not rows:
        return Markup("<p>No epoch was finished, so there is no curve to draw.</p>")
    epochs = [int(_number(row.get("epoch", index + 1))) for index, row in enumerate(rows)]
    columns = {name: [_number(row.get(name)) for row in rows] for row in rows for name in row}
    columns = {name: values for name, values in columns.items() if name not in _NOT_PLOTTED}
    if best_epoch is not None and best_epoch not in epochs:
        raise ValueError(f"best_epoch={best_epoch} is not among the epochs {min(epochs)} to {max(epochs)}")
    best = _best_row(columns) if best_epoch is None else epochs.index(best_epoch)
    names = dict.fromkeys(name.removeprefix("val_") for name in columns)
    # The pairs first: what was validated is what a reader looks for.
    ordered = sorted(names, key=lambda name: (f"val_{name}" not in columns, name != "loss"))
    panels = Markup("").join(_panel(name, epochs, columns, best) for name in ordered)
    return Markup('<div class="curves">{}<div class="panels">{}</div></div>').format(
        _legend(columns, None if best is None else epochs[best]), panels
    )


def _number(value: object) -> float:
    """A cell of a CSV file as a float; an empty one is NaN."""
    return math.nan if value is None or value == "" else float(value)  # type: ignore[arg-type]  # what is no number raises


def _best_row(columns: Mapping[str, Sequence[float]]) -> int | None:
    losses = columns.get("val_loss", columns.get("loss", ()))
    finite = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    return min(finite, key=lambda index: losses[index], default=None)


def _legend(columns: Iterable[str], best_epoch: int | None) -> Markup:
    validated = any(name.startswith("val_") for name in columns)
    entries = [("second", "training")] + ([("accent", "validation")] if validated else [])
    items = [Markup('<li><i class="key {}"></i>{}</li>').format(key, text) for key, text in entries]
    if best_epoch is not None:
        items.append(Markup('<li><i class="key best"></i>best epoch: {}</li>').format(best_epoch))
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _panel(name: str, epochs: Sequence[int], columns: Mapping[str, Sequence[float]], best: int | None) -> Markup:
    from matplotlib.ticker import MaxNLocator

    figure, axes = themed_axes()
    axes.set_xlabel("epoch")
    # Every plot spans all epochs, also those whose value was not finite; half an epoch of air on both sides.
    axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    lines = _lines(name, columns)
    if best is not None and len(epochs) > 1:
        axes.axvline(epochs[best], color=LIGHT["muted"], linewidth=1, linestyle=(0, (2, 3)))
    for _, key, colour in lines:
        values = [value if math.isfinite(value) else math.nan for value in columns[key]]
        axes.plot(epochs, values, color=LIGHT[colour], linewidth=2, marker="o" if len(epochs) == 1 else None)
        if best is not None and len(epochs) > 1:
            axes.plot(epochs[best], values[best], color=LIGHT[colour], marker="o", markersize=6)
    at = len(epochs) - 1 if best is None else best
    facts = [f"{kind} {readable(columns[key][at])}".strip() for kind, key, _ in lines]
    broken = sum(not all(math.isfinite(columns[key][row]) for _, key, _ in lines) for row in range(len(epochs)))
    if broken:
        facts.append(f"not finite in {broken} of {len(epochs)} epochs")
    title, summary = name.replace("_", " "), ", ".join(facts)
    label = f"{title} over {len(epochs)} epochs; at epoch {epochs[at]}: {summary}"
    return Markup('<figure class="panel"><figcaption><b>{}</b> <span>{}</span></figcaption>{}</figure>').format(
        title, summary, inline_svg(figure, label)
    )


def _lines(name: str, columns: Mapping[str, Sequence[float]]) -> list[tuple[str, str, str]]:
    """Kind, column and colour of each line in one metric's plot."""
    if f"val_{name}" not in columns and any(column.startswith("val_") for column in columns):
        # Beside validated metrics, one that stands alone is no result of training: the learning rate, the seconds.
        return [("", name, "ink")]
    pair = (("training", name, "second"), ("validation", f"val_{name}", "accent"))
    return [line for line in pair if line[1] in columns]
