import io
import re
import wave
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
REPOSITORY = "https://github.com/Jakobovski/free-spoken-digit-dataset"
RECORDINGS = "recordings/*.wav"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SAMPLE_RATE = 8000
"""Samples a second."""
TEST_TAKES = 5
"""The official test part has each speaker's takes 0 to 4 of each digit."""
FORM = (1, 2, SAMPLE_RATE)


class SpokenDigits(Source):
    """The Free Spoken Digit Dataset with 3,000 takes; TFDS's `spoken_digit` is an older cut of it."""

    ABOUT = "Spoken digits of six speakers, 8 kHz, 16 bit; takes 0 to 4 are the official test part"
    LICENCE = "CC BY-SA 4.0"
    HOMEPAGE = REPOSITORY
    CITATION = """@misc{jackson2018fsdd,
  title={Free Spoken Digit Dataset}, author={Jackson, Zohar and others}, year={2018}, doi={10.5281/zenodo.1342401}
}"""
    FILES: ClassVar = {RECORDINGS: f"{REPOSITORY}/archive/{COMMIT}.tar.gz"}
    COUNTS: ClassVar = {"": (2_700, 300)}
    UNIT = "recordings"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """`audio`: (samples,) int16 at 8 kHz. `digit`: what is said. `speaker`, and `take`: 0 to 49."""
        return {
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16),
            "digit": tfds.features.Scalar(dtype=np.int64),
            "speaker": tfds.features.ClassLabel(names=SPEAKERS),
            "take": tfds.features.Scalar(dtype=np.int64),
        }

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, in the order of the files' names."""
        takes = [_take(raw, name, content) for name, content in raw.members(RECORDINGS)]
        return {
            "train": [take for take in takes if take["take"] >= TEST_TAKES],
            "test": [take for take in takes if take["take"] < TEST_TAKES],
        }


def _take(raw: Raw, name: str, content: bytes) -> Example:
    parts = re.fullmatch(rf"([0-9])_({'|'.join(SPEAKERS)})_([0-9]+)\.wav", name)
    if parts is None:
        raise raw.error(RECORDINGS, None, "names such as 7_jackson_32.wav", name)
    try:
        with wave.open(io.BytesIO(content)) as sound:
            form = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            promised, samples = sound.getnframes(), sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise raw.error(RECORDINGS, None, f"a WAV file as {name}", str(error) or "a file cut off") from error
    if form != FORM:
        found = f"{form[0]} channel(s), {8 * form[1]} bit, {form[2]} Hz"
        raise raw.error(RECORDINGS, None, f"1 channel, 16 bit, {SAMPLE_RATE} Hz in {name}", found)
    if len(samples) != 2 * promised or not promised:
        raise raw.error(RECORDINGS, None, f"{promised:,} samples in {name}", f"{len(samples) // 2:,}")
    audio = np.frombuffer(samples, dtype="<i2").astype(np.int16)
    return {"audio": audio, "digit": int(parts[1]), "speaker": parts[2], "take": int(parts[3])}
