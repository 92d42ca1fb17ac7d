"""The README's table of models, made from the registry."""

import re
from pathlib import Path

BEGIN, END = "<!-- models: made by `seqzoo list --markdown` -->", "<!-- end of models -->"
COLUMNS = ("model", "what it does", "lengths", "streams", "formats", "from")


def models_table() -> str:
    """Makes the table.

    Returns:
        Markdown: a row for each registered model, in the order of the task shapes, those of one file together; then the
        cells.
    """
    import export
    import zoo
    from zoo.cells import CELLS
    from zoo.specs import TaskShape

    specs = [zoo.get_spec(name) for name in zoo.list_models()]
    specs.sort(key=lambda spec: (list(TaskShape).index(spec.shape), spec.builder.__module__, spec.name))
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for spec in specs:
        file = Path(*spec.builder.__module__.split(".")).with_suffix(".py").as_posix()
        streams = "yes" if spec.streamable else "no"
        held = [fmt for fmt in export.FORMATS if fmt not in spec.unsupported]
        formats = "all" if len(held) == len(export.FORMATS) else ", ".join(held)
        # "Pascanu et al. 2014, arXiv:1312.6026, figure 2d" -> "Pascanu et al. 2014"
        source = re.sub(r"(\b\d{4}\b).*", r"\1", spec.references[0])
        name = f"[`{spec.name}`]({file})"
        rows.append((name, spec.summary.rstrip("."), str(spec.shape), streams, formats, source))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table}\n\nCells, for `cell=`: {', '.join(f'`{cell}`' for cell in CELLS)}."
