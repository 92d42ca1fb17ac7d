"""The data, the split, the augmentation, the accuracy."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import recipes
from recipes import pipelines


@pytest.fixture(scope="module")
def data():
    return recipes.get_recipe("digits").load_data()


def test_split(data):
    sizes = {part: len(getattr(data, part)) for part in ("train", "validation", "test")}
    assert sizes == {"train": 1149, "validation": 288, "test": 360}
    parts = [data.train, data.validation, data.test]
    together = np.concatenate([part.inputs["features"].reshape(-1, 64) for part in parts])
    originals = load_digits().data.astype("float32") / 16
    # Every image is in one part, once.
    np.testing.assert_array_equal(np.sort(together.view("V256"), axis=0), np.sort(originals.view("V256"), axis=0))
    for part in parts:
        shares = np.bincount(part.targets, minlength=10) / len(part)
        np.testing.assert_allclose(shares, np.bincount(load_digits().target) / 1797, atol=0.005)


def test_rows_are_steps_from_the_top(data):
    digits = load_digits()
    image = data.test.inputs["features"][0]
    match = np.flatnonzero((digits.images / 16 == image).all(axis=(1, 2)))
    assert image.shape == (8, 8)
    assert digits.target[match[0]] == data.test.targets[0]
    assert data.labels[data.test.targets[0]] == str(digits.target[match[0]])


def test_the_split_does_not_depend_on_the_seed(data):
    other = dataclasses.replace(recipes.get_recipe("digits"), seed=7).load_data()
    np.testing.assert_array_equal(data.test.inputs["features"], other.test.inputs["features"])


def test_shift_moves_whole_images(data):
    images = data.train.inputs["features"][:200]
    moved = data.augment({"features": tf.constant(images)}, tf.constant([1, 2], tf.int64))["features"].numpy()
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1)])
    windows = {(i, j): padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)}
    equal = np.stack([(window == moved).all(axis=(1, 2)) for window in windows.values()])
    assert equal.any(axis=0).all(), "each image is one of the nine shifts of itself"
    assert 0.3 < (~equal[4]).mean() < 0.6, "about half of them moved, an eighth of these by nothing"
    assert (~equal[4]).any()


def test_shift_can_be_off():
    assert dataclasses.replace(recipes.get_recipe("digits"), shift=0.0).load_data().augment is None


def test_judge_counts(data):
    recipe = recipes.get_recipe("digits")
    logits = np.eye(10)[data.test.targets]
    assert recipe.judge({"logits": logits}, data.test).metrics == {"accuracy": 1.0}
    logits[:36] = np.roll(logits[:36], 1, axis=1)
    verdict = recipe.judge({"logits": logits}, data.test)
    assert verdict.metrics == {"accuracy": pytest.approx(0.9)}
    confusion, gallery = (draw() for draw in verdict.sections)
    assert "360" in confusion.caption
    assert gallery.html


def stream(data, **changes):
    arguments = {"batch_size": 100, "seed": 0, "first": 0, "epochs": 2} | changes
    model = recipes.get_recipe("digits").build_model(data)
    return [(x.numpy(), y.numpy()) for x, y in pipelines.training_stream(data, model, **arguments)]


def test_an_epoch_has_every_image_once_in_an_order_of_its_own(data):
    plain = dataclasses.replace(data, augment=None)
    batches = stream(plain)
    assert len(batches) == 2 * pipelines.steps_per_epoch(data.train, 100) == 24
    epochs = [np.concatenate([x for x, _ in part]).reshape(-1, 64) for part in (batches[:12], batches[12:])]
    wanted = np.sort(data.train.inputs["features"].reshape(-1, 64).view("V256"), axis=0)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(np.ascontiguousarray(epoch).view("V256"), axis=0), wanted)
    assert (epochs[0] != epochs[1]).any()
    assert [len(y) for _, y in batches[:12]] == [100] * 11 + [49]


def test_the_stream_is_a_function_of_seed_and_epoch(data):
    both, second, other = stream(data), stream(data, first=1), stream(data, seed=1)
    for (x, y), (again, label) in zip(both[12:], second, strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, label)
    assert any((y != label).any() for (_, y), (_, label) in zip(both, other, strict=True))


@pytest.mark.slow
def test_accuracy_over_three_seeds(tmp_path):
    runs = [recipes.run("digits", seed=seed, out=tmp_path / str(seed), quiet=True) for seed in (0, 1, 2)]
    assert np.mean([run.metrics["accuracy"] for run in runs]) >= 0.97
    for run in runs:
        for row in run.results["artifacts"]:
            assert row["metrics"] == run.metrics
