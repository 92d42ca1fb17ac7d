"""`seqzoo compare RECIPE --models a b c`: the same task with several models."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from recipes.commands.command import print_json, print_table
from recipes.commands.of_recipe import OfRecipe
from recipes.errors import RecipeError, UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare(OfRecipe):
    """Run a recipe with several models of the zoo; one table and one plot. The same command goes on after a stop."""

    models: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODEL ...")] = ()
    """The zoo's models to compare, each of the shape of the recipe's own; `seqzoo list` names them."""
    out: Path | None = None
    """The folder for the runs and the page; runs/compare-RECIPE unless given."""

    def execute(self) -> int:
        """Prints the table; fails where a run failed."""
        from recipes import comparing

        if not self.models:
            raise UsageError("which models? Name them with --models, such as --models sequence_classifier leaky_rnn")
        given = self.given()
        if "model" in given:
            raise UsageError(f"--model {given['model']} is one; name all that are compared with --models")
        entries = comparing.compare(self.name, self.models, out=self.out, preset=self.preset, quiet=self.json, **given)
        table = comparing.rows(entries)
        if self.json:
            print_json(table)
        else:
            columns = [column for column in table[0] if any(row[column] is not None for row in table)]
            print_table(columns, [[row[column] for column in columns] for row in table])
        if failed := [f"{entry.model}: {entry.failure}" for entry in entries if entry.failure]:
            raise RecipeError("; ".join(failed))
        return 0
