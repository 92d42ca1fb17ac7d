"""The `seqzoo` command's words, one a file. Free of Keras: each imports what it needs when it works."""

from recipes.commands.bench import Bench
from recipes.commands.command import Command
from recipes.commands.doctor import Doctor
from recipes.commands.export import Export
from recipes.commands.generate import Generate
from recipes.commands.list import List
from recipes.commands.run import Run, run_command
from recipes.commands.show import Show
from recipes.commands.verify import Verify

__all__ = ["COMMANDS", "Command", "overview", "run_command"]

COMMANDS: dict[str, type[Command]] = {
    "list": List,
    "show": Show,
    "export": Export,
    "verify": Verify,
    "generate": Generate,
    "bench": Bench,
    "doctor": Doctor,
}
"""Word -> what it does. `run` stands apart: its options are those of the recipe that follows it."""


def overview() -> str:
    """Lists the words, a line each, for the help."""
    lines = {"list": List, "show": Show, "run RECIPE": Run} | {
        word: command for word, command in COMMANDS.items() if word not in ("list", "show")
    }
    width = max(map(len, lines))
    summaries = {word: (command.__doc__ or "").split("\n", 1)[0] for word, command in lines.items()}
    return "\n".join(f"  {word:<{width}}  {summary}" for word, summary in summaries.items())
