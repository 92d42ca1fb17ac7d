"""Files that are missing: what is suggested in their place, and what lies beside them."""

from pathlib import Path

import pytest

from recipes import datasets
from recipes.datasets.raw import find
from recipes.errors import RecipeError
from recipes.user_files import decoded, near_file


@pytest.mark.parametrize(
    ("name", "there", "suggested"),
    [
        ("train.csv", ["test.csv"], None),
        ("test.csv", ["train.csv", "tests.csv"], "tests.csv"),
        ("reviews_train.csv", ["reviews_test.csv", "reviews-train.csv"], "reviews-train.csv"),
        ("reviews.train.csv", ["reviews.dev.csv", "reviews.training.csv"], "reviews.training.csv"),
        ("x_valid.txt", ["x_test.txt", "x_val.txt"], "x_val.txt"),
        ("latest.csv", ["latests.csv"], "latests.csv"),
        ("contest.csv", ["contents.csv"], "contents.csv"),
        ("trian.csv", ["train.csv"], "train.csv"),
        ("mien.csv", ["mine.csv"], "mine.csv"),
    ],
)
def test_no_other_part_is_suggested(tmp_path: Path, name: str, there: list[str], suggested: str | None) -> None:
    hint = f"; did you mean {suggested!r}?" if suggested else ""
    assert near_file(name, there) == hint
    for file in there:
        (tmp_path / file).write_text("a")
    with pytest.raises(RecipeError) as refusal:
        decoded(tmp_path / name)
    assert str(refusal.value) == f"there is no file {tmp_path / name}{hint}"


NAMES = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")


@pytest.mark.parametrize(
    ("missing", "there", "suggested"),
    [
        ("ptb.train.txt", "ptb.test.txt.bak", None),
        ("ptb.train.txt", "ptb.vaild.txt", None),
        ("ptb.valid.txt", "ptb.vaild.txt", "ptb.vaild.txt"),
        ("ptb.test.txt", "sub/ptb.test.text", "sub/ptb.test.text"),
    ],
)
def test_a_sets_files_are_not_taken_for_each_other(
    tmp_path: Path, missing: str, there: str, suggested: str | None
) -> None:
    (tmp_path / "sub").mkdir()
    for name in {*NAMES, there} - {missing}:
        (tmp_path / name).write_text("a")
    with pytest.raises(RecipeError) as refusal:
        find("ptb", NAMES, tmp_path)
    assert str(refusal.value).endswith(f"did you mean {suggested!r}?" if suggested else f"missing in {tmp_path}")


def test_another_form_is_not_suggested(tmp_path: Path) -> None:
    (tmp_path / "ETTh2.csv").write_text("a")
    with pytest.raises(RecipeError) as refusal:
        datasets.load("ett/etth1", str(tmp_path))
    said = str(refusal.value)
    assert "did you mean" not in said
    # Both ways are named wherever one of them is.
    assert "get it from https://" in said
    assert "or leave --data-dir out to let TFDS download it (needs the network)" in said


@pytest.mark.parametrize("name", ["a.zip", "z.zip", "z.tar.gz"])
def test_a_damaged_archive_beside_what_is_wanted_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4 cut off")
    with pytest.raises(RecipeError, match=rf"ptb\.train\.txt is missing in .*, and .*{name} is damaged"):
        find("ptb", NAMES, tmp_path)
    for file in NAMES:
        (tmp_path / file).write_text("a")
    assert find("ptb", NAMES, tmp_path) == {file: tmp_path / file for file in NAMES}
