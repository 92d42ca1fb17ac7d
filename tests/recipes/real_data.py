"""Where the published files are at hand; a test that needs one that is not is skipped, and says so."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
FOLDERS = {
    "penn_treebank": "penn-treebank",
    "mysterious_island": "verne-mysterious-island",
    "spoken_digits": "free-spoken-digit-dataset",
    "multi30k": "multi30k",
    "names_by_language": "names-by-language",
    "sentiment_treebank": "stanford-sentiment-treebank",
    "ett": "ett",
    "classic_series": "classic-forecasting",
    "santa_fe_laser": "santa-fe-laser",
    "piano_rolls": "poly-music",
    "cmudict": "cmudict",
    "snips": "snips",
    "pendigits": "pendigits",
    "babi": "babi-tasks",
    "ucr_uea": "ucr-uea-small",
}
"""Those that have a builder of ours; every other set is one that TFDS has prepared."""


def data_dir(name: str) -> str:
    """-> the folder that `datasets.load(name, folder)` reads."""
    own = FOLDERS.get(name.partition("/")[0])
    folder = SHARED / "data" / own if own else SHARED / "tfds"
    if not (folder if own else folder / name).is_dir():
        pytest.skip(f"{name} is not at hand in {folder}")
    return str(folder)
