"""Into a run's folder and out of it again: who may work in it, and what is left where nothing came of it."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from recipes.errors import RecipeError
from recipes.files import missing_folders, remove_empty, sole_use
from recipes.recipe import RecipeConfig
from recipes.run_folder import RunFolder, stored_recipe
from recipes.strategies import Team


@contextlib.contextmanager
def begun(start: Callable[[], RecipeConfig], path: Path, team: Team, *, wait: bool) -> Iterator[RecipeConfig]:
    """The chief makes the folder ready and keeps others out of it; the other workers read what it holds then.

    Args:
        start: Makes the folder ready, and gives the recipe.
        path: The folder.
        team: The workers.
        wait: Where another process uses the folder, wait until it has done with it.

    Yields:
        The recipe.

    Raises:
        RecipeError: The folder is in use, or the chief could not begin.
    """
    if not team.is_chief:
        if not team.told(1)[0]:
            raise RecipeError(f"worker {team.worker} of {team.workers} stops: the chief could not begin")
        yield stored_recipe(path)
        return
    is_new, made = not path.exists(), missing_folders(path)
    with contextlib.ExitStack() as stack:
        try:
            if path.is_dir():
                stack.enter_context(sole_use(path, wait=wait))
            recipe = start()
            if is_new:
                stack.enter_context(sole_use(path, wait=wait))
        except Exception:  # whatever it is, the others must not wait for a chief that never begins
            team.told(0)
            remove_empty(made)
            raise
        team.told(1)
        try:
            yield recipe
        except Exception:
            # Found out only with the data at hand, such as a broken line or a model of another shape: there is nothing
            # to go on with, unless something was trained.
            folder = RunFolder(path)
            if is_new and not folder.metrics.exists() and not any(folder.checkpoints.glob("*")):
                shutil.rmtree(path, ignore_errors=True)
                remove_empty(made)
            raise
