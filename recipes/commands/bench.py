"""`seqzoo bench RUN`: measures a run's artifacts again."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from recipes.commands.command import Command, print_json
from recipes.errors import RecipeError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench(Command):
    """Measure a run's artifacts: size, load time, latency at batch 1, the recipe's test metrics in each runtime."""

    run: Annotated[Path, tyro.conf.Positional]
    """A run's folder, such as runs/digits."""

    def execute(self) -> int:
        """Prints the table; changes nothing in the folder."""
        import export
        from recipes.artifacts import measure
        from recipes.commands.run import print_artifacts
        from recipes.run_folder import RunFolder, stored_recipe

        recipe = stored_recipe(self.run)
        exports = RunFolder(self.run).exports
        places = [exports / f"model{fmt.suffix}" for fmt in export.FORMATS.values()]
        artifacts = [place for place in places if place.exists()]
        if not artifacts:
            raise RecipeError(f"{exports} holds no artifacts; finish the run with --resume")
        rows = measure(recipe, recipe.load_data(), artifacts)
        if self.json:
            print_json(rows)
        else:
            print_artifacts(rows)
        return 0
