"""Whether settings are those that a folder's run began with: the same values, the same file wherever it is named."""

import dataclasses
import hashlib
from pathlib import Path

from recipes.files import naming
from recipes.recipe import RecipeConfig


def difference(stored: RecipeConfig, wanted: RecipeConfig, digest: str | None = None) -> tuple[str, str]:
    """Looks for a setting that is another one now.

    Args:
        stored: The recipe as the folder holds it.
        wanted: The same recipe as it is asked for now.
        digest: Of the user's file as it was then; a file of the same content is the same file.

    Returns:
        The first field that differs and how, such as ("epochs", "epochs=3, not 4"); two empty texts where none does.
    """
    for field in dataclasses.fields(stored):
        before, now = getattr(stored, field.name), getattr(wanted, field.name)
        if before == now or _is_same_place(stored, wanted, field.name, digest):
            continue
        return field.name, f"{field.name}={before}, not {now}"
    if "model" in stored.given:
        # Another model than the recipe's own has the defaults of its own builder for what nobody gave.
        shared = {field.name for field in dataclasses.fields(RecipeConfig)}
        for name in sorted((stored.given ^ wanted.given) - shared):
            words = [f"{'given' if name in recipe.given else 'left to the model'}" for recipe in (stored, wanted)]
            return name, f"{name} {', not '.join(words)}"
    return "", ""


def file_digest(recipe: RecipeConfig) -> str | None:
    """The sha256 of the user's file as it is now; None where there is none: what is wrong then, the recipe says."""
    if recipe.own_file is None or not Path(recipe.own_file).is_file():
        return None
    with naming("read", Path(recipe.own_file)), open(recipe.own_file, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_same_place(stored: RecipeConfig, wanted: RecipeConfig, field: str, digest: str | None) -> bool:
    before, now = getattr(stored, field), getattr(wanted, field)
    if field not in (stored.OWN_FILE, "data_dir") or before is None or now is None:
        return False
    if Path(before).expanduser().resolve() == Path(now).expanduser().resolve():
        return True
    return field == stored.OWN_FILE and digest is not None and file_digest(wanted) == digest
