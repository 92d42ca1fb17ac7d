"""`seqzoo export MODEL.keras`: any Keras model as files that run elsewhere."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import export
from recipes.commands.command import Command, print_json, print_table
from recipes.errors import RecipeError
from recipes.files import naming

Format = Literal[tuple(export.FORMATS)]  # type: ignore[valid-type]  # the one table of formats


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Export a Keras model, each file verified against it before it is put in place."""

    model: Annotated[Path, tyro.conf.Positional]
    """The model, a .keras file."""
    to: tuple[Format, ...] = tuple(export.FORMATS)
    """The formats."""
    out: Path = Path("exports")
    """The folder; gets model.tflite and so on, and a manifest.json."""

    def execute(self) -> int:
        """Exports to one format after the other; goes on where one fails."""
        from recipes.loading import load_model

        model = load_model(self.model)
        rows, failures = [], []
        for name in dict.fromkeys(self.to):
            try:
                with naming("write", self.out):
                    self.out.mkdir(parents=True, exist_ok=True)
                    artifact = export.export_model(model, self.out, format=name)
            except export.SeqzooExportError as error:
                failures.append(f"{name}: {error}")
            else:
                rows.append(_row(artifact))
        if self.json:
            print_json(rows)
        elif rows:
            columns = ("format", "path", "bytes", "cases", "max_abs_error")
            print_table(columns, [[row[column] for column in columns] for row in rows])
        if failures:
            raise RecipeError("; ".join(failures))
        return 0


def _row(artifact: Any) -> dict[str, Any]:
    report = artifact.report
    return {
        "format": artifact.format,
        "path": str(artifact.path),
        "bytes": artifact.bytes,
        "cases": len(report.cases),
        "max_abs_error": max(output.max_abs for output in report.outputs),
        "passed": report.passed,
    }
