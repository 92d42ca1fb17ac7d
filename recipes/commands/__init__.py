"""The `seqzoo` command's words, one a file. Free of Keras: each imports what it needs when it works."""

from recipes.commands.bench import Bench
from recipes.commands.command import Command
from recipes.commands.compare import Compare
from recipes.commands.data_service import DataService
from recipes.commands.doctor import Doctor
from recipes.commands.export import Export
from recipes.commands.generate import Generate
from recipes.commands.list import List
from recipes.commands.of_recipe import OfRecipe
from recipes.commands.run import Run
from recipes.commands.show import Show
from recipes.commands.tune import Tune
from recipes.commands.verify import Verify

__all__ = ["COMMANDS", "OF_RECIPE", "Command", "overview"]

COMMANDS: dict[str, type[Command]] = {
    "list": List,
    "show": Show,
    "export": Export,
    "verify": Verify,
    "generate": Generate,
    "bench": Bench,
    "data-service": DataService,
    "doctor": Doctor,
}
"""Word -> what it does."""
OF_RECIPE: dict[str, type[OfRecipe]] = {"run": Run, "compare": Compare, "tune": Tune}
"""Words that a recipe follows; their options are those of the recipe."""


def overview() -> str:
    """Lists the words, a line each, for the help."""
    lines = {"list": List, "show": Show} | {f"{word} RECIPE": command for word, command in OF_RECIPE.items()} | COMMANDS
    width = max(map(len, lines))
    summaries = {word: (command.__doc__ or "").split("\n", 1)[0] for word, command in lines.items()}
    return "\n".join(f"  {word:<{width}}  {summary}" for word, summary in summaries.items())
