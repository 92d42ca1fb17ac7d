"""Words of the command that a recipe follows, whose options are its fields: `seqzoo run digits --epochs 5`."""

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import tyro

from recipes.commands.command import Command
from recipes.commands.parsing import parse
from recipes.errors import UsageError
from recipes.fields import near_match
from recipes.recipe import RECIPES, configure
from recipes.settings import preset_fields

C = TypeVar("C", bound="OfRecipe")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfRecipe(Command):
    """A word that a recipe follows. The recipe itself is the field `recipe`, which `read` adds."""

    preset: str | None = None
    """Settings that go together, from which the options start; `full` where a recipe has one wants a GPU."""

    @property
    def name(self) -> str:
        """The recipe's name."""
        recipe: Any = self.recipe  # type: ignore[attr-defined]  # the field that `_with_recipe` adds
        return next(name for name, known in RECIPES.items() if known is type(recipe))

    def start(self, name: str) -> Any:
        """The recipe that the options change.

        Args:
            name: The recipe's name.

        Raises:
            UsageError: There is no such preset.
        """
        return configure(RECIPES[name](), preset_fields(name, self.preset))

    def given(self) -> dict[str, Any]:
        """The recipe's fields that were typed, be it with their defaults' values."""
        recipe: Any = self.recipe  # type: ignore[attr-defined]  # the field that `_with_recipe` adds
        fields = [field.name for field in dataclasses.fields(recipe)]
        return {name: getattr(recipe, name) for name in fields if self.is_typed(name)}


def read(kind: type[C], word: str, words: Sequence[str]) -> C | None:
    """Reads the recipe's name and the options.

    Args:
        kind: The word's class; its docstring stands above the list of recipes in the help.
        word: What the user typed after `seqzoo`.
        words: What the user typed after that.

    Returns:
        The command; None where only the help was asked for, which is printed.

    Raises:
        UsageError: No recipe, an unknown one, or a bad option.
    """
    if words and words[0] in ("-h", "--help"):
        print(_usage(kind, word))
        return None
    if not words or words[0].startswith("-"):
        raise UsageError(f"which recipe? There are {', '.join(sorted(RECIPES))} (seqzoo {word} --help says more)")
    name, options = words[0], words[1:]
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}{near_match(name, RECIPES)}")
    made, prog = _with_recipe(kind, name), f"seqzoo {word} {name}"
    command = parse(made, options, prog=prog)
    start = command.start(name)
    if start == RECIPES[name]():
        return command
    # A preset brings settings of its own, a resumed run keeps those it has: what is not given comes from there.
    # Only that: a switch whose default is on would be called --no-resume.
    return parse(made, options, prog=prog, default=dataclasses.replace(made(), recipe=start))


def summary(recipe: type[Any]) -> str:
    """The first line of a recipe's documentation."""
    return (recipe.__doc__ or "").strip().split("\n", 1)[0]


def _usage(kind: type[Any], word: str) -> str:
    width = max(map(len, RECIPES))
    lines = [
        f"usage: seqzoo {word} RECIPE [options]\n",
        f"{inspect.getdoc(kind)}\n",
        f"recipes (seqzoo {word} RECIPE --help names the options of one):\n",
        *(f"  {name:<{width}}  {summary(recipe)}" for name, recipe in sorted(RECIPES.items())),
    ]
    return "\n".join(lines)


def _with_recipe(kind: type[C], name: str) -> type[C]:
    recipe = RECIPES[name]
    field = ("recipe", Annotated[recipe, tyro.conf.arg(name="")], dataclasses.field(default_factory=recipe))
    made = dataclasses.make_dataclass(
        kind.__name__ + recipe.__name__, [field], bases=(kind,), frozen=True, kw_only=True
    )
    made.__doc__ = f"{inspect.getdoc(kind)}\n\n{inspect.cleandoc(recipe.__doc__ or '')}"
    return made
