"""`seqzoo list`: what there is."""

import dataclasses
from typing import Annotated

import tyro

import recipes
from recipes.commands.command import Command, print_json, print_table
from recipes.commands.models_table import models_table
from recipes.commands.of_recipe import summary
from recipes.errors import UsageError
from recipes.recipe import RECIPES


@dataclasses.dataclass(frozen=True, kw_only=True)
class List(Command):
    """List the recipes and the models."""

    pattern: Annotated[str, tyro.conf.Positional] = "*"
    """A name with wildcards, such as '*tagger*'."""
    shape: str | None = None
    """Only models of this task shape, such as many-to-many."""
    streamable: bool | None = None
    """Only models that can (True) or can't (False) run step by step."""
    markdown: bool = False
    """Print the models as the table that stands in the README."""

    def execute(self) -> int:
        """Prints the names with a line on each."""
        import zoo

        if self.markdown:
            return self._print_markdown()
        try:
            models = zoo.list_models(self.pattern, shape=self.shape, streamable=self.streamable)
        except ValueError as error:
            raise UsageError(str(error)) from error
        filtered = self.shape is not None or self.streamable is not None
        names = [] if filtered else recipes.list_recipes(self.pattern)
        found = [{"kind": "recipe", "name": name, "summary": summary(RECIPES[name])} for name in names]
        for name in models:
            spec = zoo.get_spec(name)
            facts = {"shape": str(spec.shape), "streamable": spec.streamable, "summary": spec.summary}
            found.append({"kind": "model", "name": name} | facts)
        if self.json:
            print_json(found)
        elif found:
            columns = ["kind", "name", "shape", "streamable", "summary"]
            print_table(columns, [[entry.get(column, "") for column in columns] for entry in found])
        else:
            raise UsageError(f"nothing matches {self.pattern!r}; seqzoo list shows all there is")
        return 0

    def _print_markdown(self) -> int:
        given = [
            name
            for name, default in (("pattern", "*"), ("shape", None), ("streamable", None), ("json", False))
            if getattr(self, name) != default
        ]
        if given:
            raise UsageError(f"--markdown prints all models: leave {given[0]} out")
        print(models_table())
        return 0
