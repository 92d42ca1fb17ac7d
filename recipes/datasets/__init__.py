"""Data sets for the recipes: ours, built on TFDS, and those that TFDS has: `recipes.datasets.load("penn_treebank")`.

Light to import: TFDS is loaded by the first call of `load`.
"""

from typing import Any

from recipes.errors import UsageError
from recipes.fields import near_match

OWN = (
    "penn_treebank",
    "mysterious_island",
    "spoken_digits",
    "multi30k",
    "names_by_language",
    "sentiment_treebank",
    "ett",
    "classic_series",
    "santa_fe_laser",
    "piano_rolls",
    "cmudict",
    "snips",
    "pendigits",
    "babi",
    "ucr_uea",
)
"""Data sets with a builder of ours, each in the module of its name."""

FROM_TFDS = (
    "imdb_reviews",
    "mnist",
    "universal_dependencies/en_ewt",
    "tiny_shakespeare",
    "scan/simple",
    "scan/length",
    "scan/addprim_jump",
)
"""Data sets that TFDS has, with their form."""


def load(name: str, data_dir: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Loads a data set.

    Args:
        name: Such as `"penn_treebank"`, or with its form `"ett/etth1"`; see `OWN` and `FROM_TFDS`.
        data_dir: For a set of ours, a folder with its raw files, which are read as they are now, past any cache. For a
            set that TFDS has, the TFDS folder that holds it prepared. None: TFDS's own folder (`TFDS_DATA_DIR` or
            `~/tensorflow_datasets`), into which the set is downloaded when it is not there yet.

    Returns:
        Split -> examples, in an order that is always the same. An example maps each feature to plain Python or NumPy:
        texts and names of classes are `str`, numbers are `int` or `float`, sequences are lists of `str` or arrays.

    Raises:
        UsageError: There is no such set; names the near one.
        RecipeError: Data are missing, damaged, malformed or not the published ones; one line that says what to do.
    """
    base, _, config = name.partition("/")
    if base not in OWN and name not in FROM_TFDS:
        raise UsageError(f"unknown data set {name!r}{near_match(name, (*OWN, *FROM_TFDS))}")
    from recipes.datasets import fetching

    return fetching.load_own(base, config, data_dir) if base in OWN else fetching.load_tfds(name, data_dir)
