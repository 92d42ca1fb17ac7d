"""Recipes: data, model, training and judgement under one name: `recipes.run("digits", epochs=20, out="runs/digits")`.

Light to import: TensorFlow is loaded by the first run, not before.
"""

import fnmatch
import importlib
from typing import TYPE_CHECKING, Any

from recipes.errors import UsageError
from recipes.fields import near_match
from recipes.recipe import RECIPES, RecipeConfig, register_recipe

if TYPE_CHECKING:
    from recipes.running import Run, run
    from recipes.tuning import tune

_MODULES = (
    "digits",
    "spoken_digits",
    "forecast",
    "chaos",
    "memory_tasks",
    "video_frames",
    "translation",
    "sentiment_trees",
    "digit_captions",
    "imdb",
    "classify",
    "name_generation",
    "pos_tagging",
    "tag",
    "python_docs",
    "mysterious_island",
    "penn_treebank",
    "language_model",
)
"""Each holds one recipe, which registers itself."""

for _name in _MODULES:
    importlib.import_module(f"recipes.{_name}")

__all__ = ["Run", "get_recipe", "list_recipes", "register_recipe", "run", "tune"]


def list_recipes(pattern: str = "*") -> list[str]:
    """Lists the recipes.

    Args:
        pattern: A name with wildcards, such as `"*digits*"`.

    Returns:
        Names in alphabetical order.
    """
    return sorted(name for name in RECIPES if fnmatch.fnmatchcase(name, pattern))


def get_recipe(name: str) -> RecipeConfig:
    """Looks a recipe up.

    Args:
        name: As `list_recipes` gives it.

    Returns:
        The recipe with all fields at their defaults; `dataclasses.replace` makes a variant.

    Raises:
        UsageError: There is no such recipe; names the near one.
    """
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}{near_match(name, RECIPES)}")
    return RECIPES[name]()


def __getattr__(name: str) -> Any:
    if name in ("run", "Run"):
        return getattr(importlib.import_module("recipes.running"), name)
    if name == "tune":
        return importlib.import_module("recipes.tuning").tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
