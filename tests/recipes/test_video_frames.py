"""The videos against a walk by hand, the parts, the metrics, a run in miniature."""

import dataclasses

import numpy as np
import pytest

import recipes
from recipes import datasets, moving_digits
from recipes.errors import UsageError

FIELDS = {"videos": 40, "test_videos": 20, "frames": 8, "filters": (2,), "units": (4,), "epochs": 1}


def digits(count, seed):
    """Images that are told apart by a grey level, with a bright corner."""
    images = np.zeros((count, 28, 28, 1), "uint8")
    images[:, :2, :2] = 255
    images[:, 10:20, 10:20, 0] = np.random.default_rng(seed).integers(50, 200, (count, 1, 1))
    return images


@pytest.fixture
def recipe(monkeypatch):
    parts = {
        name: [{"image": image, "label": 0} for image in digits(count, seed)]
        for seed, (name, count) in enumerate((("train", 1100), ("test", 50)))
    }
    monkeypatch.setattr(datasets, "load", lambda name, data_dir: parts)
    return dataclasses.replace(recipes.get_recipe("video_frames"), **FIELDS)


def turns(places, free=32 - moving_digits.DIGIT):
    """Finds the straight line that, folded at the walls, gives these places; -> where it is folded."""
    times = np.arange(len(places))
    for pace in (-3, -2, -1, 1, 2, 3):
        line = places[0] + pace * times
        if (np.abs((line + free) % (2 * free) - free) == places).all():
            walls = np.floor((np.sign(pace) * line - 0.5) / free)
            return np.diff(walls, prepend=walls[0]) > 0
    raise AssertionError(f"no straight way: {places}")


def test_digits_go_straight_and_turn_at_walls():
    images = digits(30, 0)
    videos, labels = moving_digits.make(images, 30, frames=25, size=32, seed=1)
    assert videos.shape == (30, 25, 32, 32, 1)
    assert not labels[:, 0].any()
    for video, label in zip(videos, labels, strict=True):
        corners = np.array([np.unravel_index(frame[..., 0].argmax(), (32, 32)) for frame in video])
        down, across = (turns(corners[:, axis]) for axis in (0, 1))
        np.testing.assert_array_equal(label, np.where(down, 2, across))
    assert 0.05 < (labels > 0).mean() < 0.5


def test_parts_are_made_of_different_images(recipe):
    data = recipe.load_data()
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 20, 20]
    again = dataclasses.replace(recipe, seed=9).load_data()
    np.testing.assert_array_equal(data.test.inputs["frames"], again.test.inputs["frames"])
    assert data.test.inputs["frames"].min() == 0
    assert data.test.inputs["frames"].max() == 1


def test_metrics_by_hand(recipe):
    split = recipe.load_data().test
    logits = np.eye(3)[split.targets]
    perfect = recipe.judge({"logits": logits}, split).metrics
    assert perfect["macro_f1"] == perfect["accuracy"] == 1
    assert perfect["always_moves_accuracy"] == pytest.approx((split.targets == 0).mean())
    lazy = recipe.judge({"logits": np.eye(3)[np.zeros_like(split.targets)]}, split).metrics
    share = (split.targets == 0).mean()
    assert lazy["accuracy"] == pytest.approx(share)
    assert lazy["macro_f1"] == pytest.approx(2 * share / (1 + share) / 3)


def test_a_box_too_small_is_refused(recipe):
    with pytest.raises(UsageError, match="size must be at least 16, got 15"):
        dataclasses.replace(recipe, size=15).load_data()


@pytest.mark.slow
def test_a_run_in_miniature(recipe, tmp_path):
    run = recipes.run("video_frames", out=tmp_path / "run", quiet=True, **FIELDS)
    for row in run.results["artifacts"]:
        assert row["metrics"]["accuracy"] == pytest.approx(run.metrics["accuracy"], abs=0.01)
    assert "frame by frame" in (run.folder / "report.html").read_text()
