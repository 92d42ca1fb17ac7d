"""The fit loop: schedules, clipping, best epoch, patience, divergence, seeds, files."""

import csv
import dataclasses
import math
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import recipes
from recipes import training
from recipes.checkpoints import Progress
from recipes.errors import RecipeError
from recipes.recipe import configure
from tests.recipes import small
from tests.recipes.small import FIELDS, assert_same, train, weights


def recipe(**fields):
    return configure(recipes.get_recipe("digits"), fields)


@pytest.mark.parametrize("end", [0.0, 0.1, 1.0])
def test_schedules(end):
    rate, steps = 0.02, 50
    formulas = {
        "constant": lambda t: rate,
        "cosine": lambda t: rate * (end + (1 - end) * (1 + math.cos(math.pi * t)) / 2),
        "exponential": lambda t: rate * max(end, 1e-7) ** t,
    }
    for schedule, formula in formulas.items():
        settings = recipe(schedule=schedule, learning_rate=rate, final_learning_rate=end)
        optimizer = training.make_optimizer(settings, steps)
        optimizer.build([keras.Variable(np.zeros(2, "float32"))])
        for step in (0, 1, 20, 50):
            optimizer.iterations.assign(step)
            # The last rate of a schedule to zero is zero up to the rounding of float32's cosine.
            assert float(optimizer.learning_rate) == pytest.approx(formula(step / steps), rel=1e-5, abs=1e-9)


def clipped(**fields):
    optimizer = training.make_optimizer(recipe(**fields), 10)
    gradients = [np.array([3.0, -4.0], "float32"), np.array([[12.0]], "float32")]
    return [np.asarray(g) for g in optimizer._clip_gradients([keras.ops.convert_to_tensor(g) for g in gradients])]


def test_clipping():
    # The norm of all gradients together is sqrt(9 + 16 + 144) = 13.
    one, other = clipped(clip_norm=6.5)
    np.testing.assert_allclose(one, [1.5, -2.0], rtol=1e-6)
    np.testing.assert_allclose(other, [[6.0]], rtol=1e-6)
    for same in (clipped(), clipped(clip_norm=14.0), clipped(clip_value=12.0)):
        np.testing.assert_allclose(same[0], [3.0, -4.0])
    np.testing.assert_allclose(clipped(clip_value=3.5)[0], [3.0, -3.5])


@pytest.mark.parametrize(
    ("precision", "compute"),
    [("float32", "float32"), ("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")],
)
def test_precision(precision, compute):
    settings = recipe(precision=precision)
    with training.numerics(settings):
        data = settings.load_data()
        model = settings.build_model(data)
    assert keras.config.dtype_policy().name == "float32", "put back"
    rnn = next(layer for layer in model.layers if isinstance(layer, keras.layers.RNN))
    assert (rnn.compute_dtype, rnn.variable_dtype) == (compute, "float32")
    assert model(data.test.inputs["features"][:2]).dtype.name == "float32", "logits overflow in half precision"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    return folder, *train(folder, epochs=4)


def test_seeds_make_a_run_repeat_exactly(tmp_path, trained):
    assert_same(weights(train(tmp_path / "again", epochs=4)[0]), weights(trained[1]))
    other = weights(train(tmp_path / "other", epochs=4, seed=1)[0])
    assert any((one != two).any() for one, two in zip(other, weights(trained[1]), strict=True))


def test_the_best_epoch_is_kept(trained):
    folder, model, progress = trained
    with (folder / "metrics.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == list(progress.rows)
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    best = min(rows, key=lambda row: row["val_loss"])
    assert progress.best_epoch == best["epoch"]
    validation = recipes.get_recipe("digits").load_data().validation
    logits = model.predict(validation.inputs["features"], verbose=0)
    # The weights in the model are that epoch's: they give its validation accuracy.
    assert (logits.argmax(1) == validation.targets).mean() == pytest.approx(best["val_accuracy"])
    assert [path.name for path in (folder / "checkpoints").glob("best-*")] == [f"best-{int(best['epoch']):05d}.npz"]


def rows(*values):
    return tuple({"epoch": number, "score": value} for number, value in enumerate(values, 1))


@pytest.mark.parametrize(
    ("values", "mode", "best"),
    [((1, 3, 2), "max", 2), ((1, 3, 2), "min", 1), ((2, 2, 2), "max", 1), ((), "max", 0), ((5,), "min", 1)],
)
def test_best_epoch(values, mode, best):
    assert Progress(rows(*values), "score", mode).best_epoch == best


@pytest.mark.parametrize(
    ("values", "patience", "stalled"),
    [((3, 2, 1), 2, True), ((3, 2), 2, False), ((1, 2, 3), 1, False), ((3, 2, 1), None, False), ((), 1, False)],
)
def test_patience(values, patience, stalled):
    assert Progress(rows(*values), "score", "max").is_stalled(patience) is stalled


def test_training_stops_when_it_gets_no_better(tmp_path):
    # A learning rate that moves nothing: the first epoch stays the best.
    _, progress = train(tmp_path / "run", epochs=9, learning_rate=1e-12, patience=2, schedule="constant")
    assert progress.epochs == 3
    assert progress.best_epoch == 1
    _, again = train(tmp_path / "run", resume=True, epochs=9, learning_rate=1e-12, patience=2, schedule="constant")
    assert again == progress, "a stalled run is complete"


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RecipeError, match=r"the loss is nan in epoch 1: training diverged; lower learning_rate"):
        train(folder, cell="simple_rnn", learning_rate=1e38, epochs=3, schedule="constant")
    assert not list((folder / "checkpoints").iterdir()), "nothing is kept of it"


@pytest.mark.parametrize("damage", ["truncated", "emptied", "text"])
def test_damaged_checkpoints(tmp_path, trained, damage):
    folder = Path(shutil.copytree(trained[0], tmp_path / "run"))
    last = folder / "checkpoints" / "last.npz"
    content = {"truncated": last.read_bytes()[:-200], "emptied": b"", "text": b"weights"}
    last.write_bytes(content[damage])
    with pytest.raises(RecipeError, match=r"last\.npz is damaged .*; start again with --overwrite"):
        train(folder, resume=True, epochs=4)


def test_checkpoints_of_another_model(tmp_path, trained):
    folder = Path(shutil.copytree(trained[0], tmp_path / "run"))
    for units, words in [((6, 5), "belongs to another model"), ((5,), r"last\.npz is damaged")]:
        with pytest.raises(RecipeError, match=words):
            small.fit(dataclasses.replace(recipe(**FIELDS), units=units), folder)
