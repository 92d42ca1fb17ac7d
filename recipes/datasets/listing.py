"""The table of data sets in `docs/datasets.md`, made from the builders."""

from recipes.datasets import FROM_TFDS, OWN
from recipes.datasets.fetching import builder_of
from recipes.datasets.source import Source

BEGIN, END = "<!-- data sets: made by `python -m recipes.datasets` -->", "<!-- end of data sets -->"
COLUMNS = ("data set", "what", "in each split", "licence", "from")
CATALOGUE = "https://www.tensorflow.org/datasets/catalog/"
SHOWN = 3
"""Forms that a cell names; of more, the first and the last."""


def datasets_table() -> str:
    """Makes the table.

    Returns:
        Markdown: a row for each set of ours, then one line for those that TFDS has.
    """
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for name in OWN:
        source = builder_of(name)
        rows.append((f"`{name}`", source.ABOUT, _counts(source), source.LICENCE, source.HOMEPAGE))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    links = ", ".join(f"[`{name}`]({CATALOGUE}{name.partition('/')[0]})" for name in FROM_TFDS)
    return f"{table}\n\nFrom TFDS's own catalogue: {links}."


def _counts(source: type[Source]) -> str:
    forms: dict[tuple[int, ...], list[str]] = {}
    for form, counts in source.COUNTS.items():
        forms.setdefault(counts, []).append(form)
    cells = []
    for counts, names in forms.items():
        shown = names if len(names) <= SHOWN else [names[0], "...", names[-1]]
        label = ", ".join(f"`{name}`" if name != "..." else name for name in shown if name)
        numbers = " / ".join(f"{count:,}" for count in counts)
        cells.append(f"{label}: {numbers}" if label else numbers)
    return f"{'; '.join(cells)} {source.UNIT}"
