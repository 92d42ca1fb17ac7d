"""A few lines of each data set of ours, in the form of the real files."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from recipes import datasets
from recipes.datasets.fetching import builder_of
from recipes.datasets.names_by_language import LANGUAGES
from recipes.datasets.raw import Raw
from recipes.errors import RecipeError


def _wav(samples: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes((np.arange(samples) * 7 - 50).astype("<i2").tobytes())
    return out.getvalue()


def _ett(shift: int) -> bytes:
    rows = [f"2016-07-{hour // 24 % 28 + 1:02d} {hour % 24:02d}:00:00" for hour in range(14_405)]
    lines = [
        f"{date},{','.join(str(shift + place / 4 + column) for column in range(7))}" for place, date in enumerate(rows)
    ]
    return "\n".join(["date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT", *lines, ""]).encode()


def _series(header: str, missing: bool = False) -> bytes:
    cells = ["" if missing and place == 3 else f"{place / 2}" for place in range(20)]
    return "\r\n".join([header, *(f'"19{place:02d}-01",{cell}' for place, cell in enumerate(cells))]).encode()


def _rolls(seed: int) -> bytes:
    out, draw = io.BytesIO(), np.random.default_rng(seed)
    parts = {}
    for name, steps in {"traindata": (4, 7), "validdata": (3,), "testdata": (5, 2)}.items():
        parts[name] = np.empty((1, len(steps)), dtype=object)
        for place, count in enumerate(steps):
            parts[name][0, place] = draw.integers(0, 2, (count, 88), dtype=np.uint8)
    scipy.io.savemat(out, parts)
    return out.getvalue()


def _ts(dimensions: int) -> bytes:
    head = "#about\n@problemName X\n@univariate true\n@classLabel true a b\n@data\n"
    cases = [":".join([*["1,2.5,-3E-1"] * dimensions, "a"]), ":".join([*["4,5"] * dimensions, "b"])]
    return (head + "\n".join(cases) + "\n").encode()


TREES = b"(3 (2 It) (4 (2 's) (3 good)))\n(0 (1 bad) (2 1\xc2\xa01\\/2))\n"
STORY = (
    b"1 Mary went home.\n2 Where is Mary?\thome\t1\n3 Mary slept.\n4 Where is Mary? \thome\t1 3\n1 A b.\n2 C?\td\t1\n"
)
BOOK = (
    "\ufeffProject Gutenberg\r\nTHE MYSTERIOUS ISLAND\r\n"
    + "Caf\u00e9 line.\r\n" * 30
    + "End of the Project Gutenberg\r\n"
)
SMALL: dict[str, dict[str, bytes]] = {
    "penn_treebank": {
        f"ptb.{part}.txt": f" the {part} of <unk> rose N \n a second line \n".encode()
        for part in ("train", "valid", "test")
    },
    "mysterious_island": {"1268-0.txt": BOOK.encode()},
    "spoken_digits": {
        f"recordings/{digit}_{speaker}_{take}.wav": _wav(100 + digit + take)
        for digit in (0, 7)
        for speaker in ("george", "theo")
        for take in (0, 4, 5, 10)
    },
    "multi30k/raw": {
        f"raw/{part}.{language}": f"{language} {part} Füße.\nzwei\n".encode()
        for part in ("train", "val", "test_2016_flickr", "test_2017_flickr", "test_2017_mscoco", "test_2018_flickr")
        for language in ("de", "en")
    },
    "names_by_language": {
        f"names/{language}.txt": "".join(f"{language}{number // 2}\n" for number in range(30)).encode()
        for language in LANGUAGES
    },
    "sentiment_treebank": {"trees/train.txt": TREES * 2, "trees/dev.txt": TREES, "trees/test.txt": TREES[:31]},
    "ett/etth2": {"ETTh2.csv": _ett(3)},
    "classic_series/co2": {"co2.csv": _series("date,co2", missing=True)},
    "classic_series/airline": {"airline-passengers.csv": _series('"Month","Passengers"')},
    "santa_fe_laser": {"santafe.dat": "".join(f"{number % 256}\n" for number in range(1_200)).encode()},
    "piano_rolls/nottingham": {"Nottingham.mat": _rolls(0)},
    "cmudict": {
        "cmudict.dict": "".join(f"word{n} W ER1 D\nword{n}(2) D # place, danish\n" for n in range(40)).encode(),
        "cmudict.symbols": b"W\nER1\nD\n",
    },
    "snips": {
        f"{part}/{column}": text
        for part in ("train", "valid", "test")
        for column, text in {
            "seq.in": b"play it  \nstop\n",
            "seq.out": b"O B-x \nO\n",
            "label": b"Play\nStop\n",
        }.items()
    },
    "pendigits": {
        "pendigits.tra": b"0,1,2,3,4,5,6,7,8,9\n"
        + b" 47,100, 27, 81, 57, 37, 26,  0,  0, 23, 56, 53,100, 90, 40, 98, 8\n",
        "pendigits.tes": b" 88, 92,  2, 99, 16, 66, 94, 37, 70,  0,  0, 24, 42, 65,100,100, 8\n",
    },
    "babi/qa2": {f"en/qa2_two-supporting-facts_{part}.txt": STORY for part in ("train", "test")},
    "ucr_uea/epilepsy": {f"Epilepsy/Epilepsy_{part}.ts": _ts(3) for part in ("TRAIN", "TEST")},
}
"""Name for `load` -> file -> content."""


def lay_small(monkeypatch: pytest.MonkeyPatch, default: Path, name: str, folder: Path | None = None) -> Path:
    """Lays a small set's files into a folder, and takes them for the published ones."""
    folder, files = folder or default, SMALL[name]
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    source = builder_of(name.partition("/")[0])
    patterns = [file for file in source.FILES if "*" in file]
    places = {file: folder / file for file in files} | dict.fromkeys(patterns, folder / "recordings")
    raw = Raw(source.name, places)
    for file in places:
        raw.members(file) if "*" in file else raw.content(file)
    monkeypatch.setattr(source, "checksums", lambda file: [raw.seen[file]])
    return folder


def same(left, right) -> bool:
    """Equal in every value, its type and its order."""
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def refusal(name: str, folder: Path | None = None) -> str:
    """The one line with which a set is refused."""
    with pytest.raises(RecipeError) as caught:
        datasets.load(name, str(folder) if folder else None)
    text = str(caught.value)
    assert "\n" not in text
    return text
