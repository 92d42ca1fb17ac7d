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
        from recipes.artifacts import finished, measure
        from recipes.commands.run import print_artifacts
        from recipes.loading import load_model
        from recipes.run_folder import RunFolder, stored_recipe

        recipe = stored_recipe(self.run)
        folder = RunFolder(self.run)
        if not folder.model.exists():
            raise RecipeError(f"{self.run} holds no trained model; finish the run with --resume")
        data = recipe.load_data()
        artifacts = finished(recipe.deployments(load_model(folder.model), data), folder.exports)
        if not artifacts:
            raise RecipeError(f"{folder.exports} holds no artifacts; finish the run with --resume")
        rows = measure(recipe, data, artifacts)
        if self.json:
            print_json(rows)
        else:
            print_artifacts(rows)
        return 0
