"""A recipe run small enough for tests, whole or up to the end of training."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from recipes import run_folder, training
from recipes.checkpoints import Progress
from recipes.console import Console
from recipes.recipe import RecipeConfig

# Dropout, so that the random generators' state matters; a last batch that is smaller than the others.
FIELDS: dict[str, Any] = {"epochs": 3, "units": (6,), "dropout": 0.2, "batch_size": 200}


def train(folder: Path, *, resume: bool = False, **fields: Any) -> tuple[keras.Model, Progress]:
    """Trains digits, without exports and report."""
    recipe = run_folder.begin("digits", folder, FIELDS | fields, resume=resume, overwrite=False)
    return fit(recipe, folder)


def fit(recipe: RecipeConfig, folder: Path) -> tuple[keras.Model, Progress]:
    with training.numerics(recipe):
        data = recipe.load_data()
        model = recipe.build_model(data)
        objective = recipe.objective()
        training.compile_model(model, recipe, objective, data)
        progress = training.fit(recipe, model, objective, data, folder=folder, console=Console(quiet=True))
    return model, progress


def weights(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in model.weights]


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    """To the last bit."""
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def last_state(folder: Path) -> list[np.ndarray]:
    """Weights, optimizer and random generators after the last epoch."""
    with np.load(folder / "checkpoints" / "last.npz") as stored:
        return [stored[name] for name in sorted(stored.files) if name != "facts"]
