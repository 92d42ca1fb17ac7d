"""The sequences by brute force, the metrics by hand, every network on every task, and a run in miniature."""

import dataclasses

import numpy as np
import pytest

import recipes
from recipes import memory_series
from recipes.errors import UsageError
from recipes.memory_tasks import LENGTHS, MODELS

TINY = {"examples": 40, "units": 5, "length": 6}


def small(**changes):
    return dataclasses.replace(recipes.get_recipe("memory_tasks"), **(TINY | changes))


def test_adding_by_brute_force():
    read, answers = memory_series.adding(50, 9, seed=0)
    for sequence, answer in zip(read, answers, strict=True):
        marked = [step for step in range(9) if sequence[step, 1]]
        assert len(marked) == 2
        assert marked[0] < 4 <= marked[1]
        assert answer.item() == pytest.approx(sequence[marked[0], 0] + sequence[marked[1], 0], abs=1e-6)
    assert len({tuple(np.flatnonzero(marks)) for marks in read[..., 1]}) > 5


def test_copy_by_brute_force():
    read, answers = memory_series.copy(20, 4, seed=0, bits=3)
    assert read.shape == (20, 9, 4)
    assert answers.shape == (20, 4, 3)
    for sequence, answer in zip(read, answers, strict=True):
        np.testing.assert_array_equal(sequence[:4, :3], answer)
        np.testing.assert_array_equal(sequence[4], [0, 0, 0, 1])
        assert not sequence[5:].any()
        assert not sequence[:4, 3].any()
    assert 0.35 < answers.mean() < 0.65


def test_parity_by_brute_force():
    read, answers = memory_series.parity(20, 7, seed=0)
    for sequence, answer in zip(read, answers, strict=True):
        assert answer[:, 0].tolist() == [int(sum(sequence[: step + 1, 0])) % 2 for step in range(7)]


def test_the_waveform_is_one_and_starts_from_nothing_but_a_sign():
    read, wave = memory_series.waveform(64, seed=0)
    assert read.shape == wave.shape == (1, 64, 1)
    assert read.sum() == read[0, 0, 0] == 1
    assert np.abs(wave).max() == pytest.approx(1)
    np.testing.assert_array_equal(memory_series.waveform(64, seed=0)[1], wave)


@pytest.mark.parametrize("task", LENGTHS)
def test_parts_share_nothing_but_the_one_wave(task):
    data, again = small(task=task).load_data(), small(task=task, seed=3).load_data()
    np.testing.assert_array_equal(data.test.inputs["features"], again.test.inputs["features"])
    parts = [data.train, data.validation, data.test]
    if task == "waveform":
        assert all((part.targets == data.test.targets[0]).all() for part in parts)
    else:
        assert len({part.inputs["features"][:10].tobytes() for part in parts}) == 3


# Each network on one task, and each task by one network: the rest of the grid is the same layers again.
@pytest.mark.parametrize(
    ("model", "task"), [(model, "adding") for model in (*MODELS, "stacked_rnn")] + [("gru", task) for task in LENGTHS]
)
def test_every_network_answers_every_task(model, task):
    recipe = small(task=task, model=model)
    data = recipe.load_data()
    answers = np.asarray(recipe.build_model(data)(data.test.inputs["features"][:2]))
    assert answers.shape == data.test.targets[:2].shape
    assert np.isfinite(answers).all()


def test_metrics_by_hand():
    copy = small(task="copy")
    split = copy.load_data().test
    logits = np.where(split.targets > 0.5, 1.0, -1.0)
    assert copy.judge({"answers": logits}, split).metrics == {"sequence_accuracy": 1.0, "bit_accuracy": 1.0}
    logits[0, 0, 0] *= -1
    metrics = copy.judge({"answers": logits}, split).metrics
    assert metrics["sequence_accuracy"] == pytest.approx(1 - 1 / len(split))
    assert metrics["bit_accuracy"] == pytest.approx(1 - 1 / split.targets.size)
    adding = small(task="adding")
    split = adding.load_data().test
    metrics = adding.judge({"answers": split.targets + 0.1}, split).metrics
    assert metrics["mse"] == pytest.approx(0.01, rel=1e-3)
    assert metrics["constant_mse"] == pytest.approx(split.targets.var(), rel=1e-3)


def test_what_is_refused_in_one_line():
    with pytest.raises(UsageError, match="unknown model 'lstn'; did you mean 'lstm'"):
        small(model="lstn").build_model(small().load_data())
    with pytest.raises(UsageError, match="memory_tasks can't use sequence_classifier: it is many-to-one"):
        small(model="sequence_classifier").build_model(small().load_data())
    with pytest.raises(UsageError, match="length must be at least 2, got 1"):
        small(length=1).load_data()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "title"), [("gru", "Gradient flow"), ("ntm", "Memory read and write weights")])
def test_pictures(model, title):
    recipe = small(task="copy", model=model)
    data = recipe.load_data()
    (draw,) = recipe.illustrate(recipe.build_model(data), data)
    section = draw()
    assert section.title.startswith(title)
    assert "<svg" in section.html


@pytest.mark.slow
def test_a_gru_adds(tmp_path):
    run = recipes.run("memory_tasks", out=tmp_path / "run", quiet=True, length=50)
    assert run.metrics["mse"] < 0.01
    for row in run.results["artifacts"]:
        assert row["metrics"]["mse"] == pytest.approx(run.metrics["mse"], rel=0.01)
