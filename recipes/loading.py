"""Reading `.keras` files that may be damaged, foreign or hostile."""

import zipfile
from pathlib import Path

import keras

from recipes.errors import RecipeError, first_line
from recipes.files import naming


def load_model(path: Path) -> keras.Model:
    """Loads a Keras model, without running any code that the file brings.

    Args:
        path: A `.keras` file.

    Returns:
        The model, not compiled.

    Raises:
        RecipeError: One line: it is missing, no `.keras` file, damaged, unsafe, or needs a class that is not here.
    """
    with naming("read", path), path.open("rb") as file:
        is_archive = zipfile.is_zipfile(file)
    if path.suffix != ".keras" or not is_archive:
        hint = "" if path.suffix == ".keras" else "; save it with model.save('model.keras')"
        raise RecipeError(f"{path} is no Keras model (or a damaged one){hint}")
    import zoo  # noqa: F401  (its layers register themselves with Keras)

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras wraps what it finds in a dozen kinds of errors
        raise RecipeError(f"cannot load {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "safe_mode" in text or "unsafe" in text or "lambda" in text.lower():
        return "it holds Python code (a Lambda layer), which could do anything: refused"
    return first_line(error)
