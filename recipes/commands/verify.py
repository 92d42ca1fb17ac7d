"""`seqzoo verify MODEL.keras ARTIFACT`: does the file do what the model does?"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from recipes.commands.command import Command, print_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify(Command):
    """Compare an exported file with its Keras model, on random inputs; exits with 1 where they differ."""

    model: Annotated[Path, tyro.conf.Positional]
    """The model, a .keras file."""
    artifact: Annotated[Path, tyro.conf.Positional]
    """The exported file, or the folder of a SavedModel."""
    data: Path | None = None
    """Real inputs by name, an .npz file, to compare on beside random ones; files in int8_full or int16x8 need them."""

    def execute(self) -> int:
        """Prints the report."""
        import export
        from recipes.loading import load_model

        report = export.verify(load_model(self.model), self.artifact, data=self.data)
        if self.json:
            print_json(report.to_json())
        else:
            print(report)
        report.raise_for_failure()
        return 0
