"""What a user has set of a recipe: presets, what has no effect beside the rest, and both as a file keeps them."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from recipes.errors import UsageError
from recipes.fields import near_match
from recipes.recipe import RECIPES, RecipeConfig, configure, recipe_name


def preset_fields(name: str, preset: str | None) -> Mapping[str, Any]:
    """Looks up settings that go together.

    Args:
        name: The recipe's name.
        preset: The preset's; None for the defaults.

    Returns:
        Field name -> value.

    Raises:
        UsageError: The recipe has no such preset.
    """
    if preset is None:
        return {}
    presets = RECIPES[name].PRESETS
    if preset not in presets:
        there_is = near_match(preset, presets) if presets else "; it has none"
        raise UsageError(f"{name} has no preset {preset!r}{there_is}")
    return presets[preset]


def refuse_idle(recipe: RecipeConfig, typed: Collection[str]) -> None:
    """Refuses a setting that would be ignored.

    Args:
        recipe: With all of its settings.
        typed: The fields that the user gave; a preset's may well have no effect.

    Raises:
        UsageError: One of them has none; says why.
    """
    for field, why in recipe.idle().items():
        if field in typed:
            raise UsageError(f"{recipe_name(type(recipe))}: --{field.replace('_', '-')} has no effect {why}")


def content_of(recipe: RecipeConfig) -> dict[str, Any]:
    """Puts down a recipe with its settings.

    Args:
        recipe: Any.

    Returns:
        JSON for `recipe_of`: its name, all fields (tuples as lists), the names of those that were given.
    """
    return {
        "recipe": recipe_name(type(recipe)),
        "fields": fields_of(recipe),
        "given": sorted(recipe.given),
    }


def recipe_of(content: Mapping[str, Any]) -> RecipeConfig:
    """Makes a recipe of what was put down.

    Args:
        content: As `content_of` gives it; `given` may be missing: what differs from its default was given anyway.

    Returns:
        The recipe.
    """
    return configure(RECIPES[content["recipe"]](), content["fields"], given=content.get("given", ()))


def fields_of(recipe: RecipeConfig) -> dict[str, Any]:
    """A recipe's fields as JSON holds them: tuples as lists."""
    fields = dataclasses.asdict(recipe)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
