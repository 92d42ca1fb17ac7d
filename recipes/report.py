"""A run's page: one HTML file that says what was trained on what, how it went and what came out.

The pieces (`learning_curves`, `confusion_matrix`, `gallery`, `model_diagram`, `table`, `artifact_table`) each give a
fragment of HTML; `write` puts them on a page that needs no network, no script and no second file. Text that comes from
outside is escaped by the pieces and by the page; only `Section.html` is taken as it is.
"""

from __future__ import annotations

import importlib.resources
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from recipes.files import write_text
from recipes.report_diagram import model_diagram
from recipes.report_figures import DARK, LIGHT, inline_svg, learning_curves, readable, themed_axes, ticks
from recipes.report_labels import confusion_matrix, gallery

__all__ = [
    "LIGHT",
    "Section",
    "artifact_table",
    "confusion_matrix",
    "gallery",
    "inline_svg",
    "learning_curves",
    "model_diagram",
    "readable",
    "table",
    "themed_axes",
    "ticks",
    "write",
]

# What the table of artifacts says of each file: heading and key.
_MEASURED = {
    "load (ms)": "load_ms",
    "latency (ms)": "latency_ms_median",
    "p95 (ms)": "latency_ms_p95",
    "max error": "max_abs_error",
    "tolerance": "tolerance",
}


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading of its own.

    Attributes:
        title: The heading, plain text.
        html: The content, trusted HTML: what the functions of this module return.
        caption: A sentence under the heading, plain text.
    """

    title: str
    html: str
    caption: str = ""


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """A table; numbers stand right-aligned, to four digits, and the first cell of each row names the row.

    Args:
        columns: The headings.
        rows: One sequence of cells a row: text (escaped), numbers, `None` for "not known", or fragments of HTML from
            this module (kept).

    Raises:
        ValueError: If a row has not one cell for each column.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a table of {len(columns)} columns got a row of {len(row)} cells: {list(row)!r}")
    numeric = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    kinds = ["number" if flag else "text" for flag in numeric]
    head = Markup("").join(
        Markup('<th scope="col" role="columnheader" class="{}">{}</th>').format(kind, name)
        for name, kind in zip(columns, kinds, strict=True)
    )
    body = Markup("").join(_table_row(columns, kinds, row) for row in rows)
    # On a phone each row becomes a card, which takes the table's roles away unless they are spelled out.
    return Markup(
        '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table class="rows" role="table">'
        '<thead role="rowgroup"><tr role="row">{}</tr></thead><tbody role="rowgroup">{}</tbody></table></div>'
    ).format(head, body)


def _is_number(cell: object) -> bool:
    # NumPy's scalars have no common base with Python's, but all of them add up; text and HTML do not turn into floats.
    return cell is None or (not isinstance(cell, (str, bool)) and hasattr(cell, "__float__"))


def _table_row(columns: Sequence[str], kinds: Sequence[str], row: Sequence[object]) -> Markup:
    cells = Markup("")
    for index, (name, kind, cell) in enumerate(zip(columns, kinds, row, strict=True)):
        tag = Markup('th scope="row" role="rowheader"' if index == 0 else 'td role="cell"')
        content = cell if isinstance(cell, Markup) else readable(cell)
        cells += Markup('<{} class="{}" data-column="{}">{}</{}>').format(tag, kind, name, content, tag[:2])
    return Markup('<tr role="row">{}</tr>').format(cells)


def artifact_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """The exported files, measured: size, load time, latency, error against its tolerance, verdict, quality.

    Args:
        rows: One mapping a file: `format`, `file`, `bytes`, `load_ms`, `latency_ms_median`, `latency_ms_p95`,
            `max_abs_error`, `tolerance`, `passed`, and `metrics` (name to value). What was not measured is `None` or
            absent.

    Returns:
        The table, a column for each metric that any row has; a sentence if there are no files.
    """
    if not rows:
        return Markup("<p>Nothing was exported.</p>")
    metrics = list(dict.fromkeys(name for row in rows for name in row.get("metrics") or {}))
    columns = ["format", "file", "size (kB)", *_MEASURED, "verified", *(name.replace("_", " ") for name in metrics)]
    cells = [
        [
            row.get("format"),
            Markup("<code>{}</code>").format(row.get("file", "—")),
            None if row.get("bytes") is None else row["bytes"] / 1000,
            *(row.get(key) for key in _MEASURED.values()),
            _verdict(row.get("passed")),
            *((row.get("metrics") or {}).get(name) for name in metrics),
        ]
        for row in rows
    ]
    return table(columns, cells)


def _verdict(passed: object) -> Markup:
    if passed is None:
        return Markup("—")
    kind, text = ("good", "✓ passed") if passed else ("bad", "✗ failed")
    return Markup('<span class="badge {}">{}</span>').format(kind, text)


def write(
    path: str | os.PathLike[str],
    *,
    title: str,
    summary: str,
    command: str,
    facts: Mapping[str, str],
    sections: Sequence[Section],
) -> Path:
    """Writes the page, whole or not at all: a kill leaves the file that was there before.

    Args:
        path: Where the page goes; its folder exists.
        title: The page's heading.
        summary: A sentence or two: what was done and what came out.
        command: The shell command that made the run.
        facts: What the run was: data, model, device, versions, seed.
        sections: The parts, in the order of the page.

    Returns:
        The path of the page.

    Raises:
        RecipeError: The folder is missing, not writable or full; nothing is left behind then.
    """
    import jinja2

    path = Path(path)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(importlib.resources.files("recipes").joinpath("report.html").read_text("utf-8"))
    page = template.render(
        title=title, summary=summary, command=command, facts=facts, sections=sections, light=LIGHT, dark=DARK
    )
    write_text(path, _with_unique_ids(page))
    return path


def _with_unique_ids(page: str) -> str:
    """Renames the ids of a figure that stands on the page a second time."""
    seen: dict[str, int] = {}

    def rename(match: re.Match[str]) -> str:
        mark = match.group(1)
        seen[mark] = seen.get(mark, 0) + 1
        return match.group() if seen[mark] == 1 else match.group().replace(mark, f"{mark}-{seen[mark]}")

    return re.sub(r'<svg [^>]*data-figure="(\w+)".*?</svg>', rename, page, flags=re.DOTALL)
