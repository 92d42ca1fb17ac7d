"""The sequences by brute force, the metrics by hand, every network on every task, and a run in miniature."""

import dataclasses
import types

import numpy as np
import pytest

import recipes
from recipes import memory_series, training
from recipes.console import Console
from recipes.errors import UsageError
from recipes.fit_loop import FitLoop
from recipes.interruption import Stop
from recipes.memory_tasks import LENGTHS, MODELS
from recipes.strategies import Team

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
    made = memory_series.copy(np.array([4, 1, 2] * 8), seed=0, bits=3)
    answers = []
    for row, length in enumerate([4, 1, 2] * 8):
        read, said, asked = made.inputs["features"][row], made.targets[row], made.asked[row]
        assert read.shape == (2 * length + 1, 4)
        np.testing.assert_array_equal(said, np.concatenate([np.zeros((length + 1, 3)), read[:length, :3]]))
        np.testing.assert_array_equal(read[length], [0, 0, 0, 1])
        assert not read[length + 1 :].any()
        assert not read[:length, 3].any()
        assert asked.tolist() == [0] * (length + 1) + [1] * length
        answers.append(said[length + 1 :])
    assert 0.35 < np.concatenate(answers).mean() < 0.65


def test_parity_by_brute_force():
    made = memory_series.parity(np.array([7, 1, 20]), seed=0)
    for row, length in enumerate([7, 1, 20]):
        read = made.inputs["features"][row]
        assert made.targets[row][:, 0].tolist() == [int(sum(read[: step + 1, 0])) % 2 for step in range(length)]
        assert made.asked[row].tolist() == [1] * length


def test_only_what_is_asked_counts():
    recipe = small(task="copy", bits=3)
    data = recipe.load_data()
    inputs, targets, weights = data.train.batch(np.arange(9))
    lengths = data.train.inputs["features"].lengths[:9] // 2
    assert len(set(lengths)) > 2
    assert weights.sum(axis=1).tolist() == lengths.tolist()
    assert [row.argmax() for row in inputs["features"][..., 3]] == lengths.tolist()
    objective = recipe.objective()
    logits = np.where(targets > 0.5, 2.0, -2.0) * weights[..., None] - 50 * targets * (1 - weights[..., None])
    assert float(objective.loss(targets, logits, weights)) == pytest.approx(np.log1p(np.exp(-2)), rel=1e-5)


def test_lengths_of_training_and_of_judgement():
    data = small(task="copy", length=6, examples=300).load_data()
    patterns = {part: getattr(data, part).inputs["features"].lengths // 2 for part in ("train", "validation", "test")}
    assert set(patterns["train"]) == set(patterns["validation"]) == set(range(1, 7))
    assert dict(zip(*np.unique(patterns["test"], return_counts=True), strict=True)) == {6: 1000, 9: 1000}
    test = small(task="parity", test_lengths=(2, 5, 40)).load_data().test
    assert set(test.inputs["features"].lengths) == {2, 5, 40}


def test_the_waveform_is_one_and_starts_from_nothing_but_a_sign():
    read, wave = memory_series.waveform(64, seed=0)
    assert read.shape == wave.shape == (1, 64, 1)
    assert read.sum() == read[0, 0, 0] == 1
    assert np.abs(wave).max() == pytest.approx(1)
    np.testing.assert_array_equal(memory_series.waveform(64, seed=0)[1], wave)


@pytest.mark.parametrize("task", LENGTHS)
def test_parts_share_nothing_but_the_one_wave(task):
    data, again = small(task=task).load_data(), small(task=task, seed=3).load_data()
    rows = np.arange(len(data.test))
    np.testing.assert_array_equal(data.test.batch(rows)[1], again.test.batch(rows)[1])
    parts = [data.train, data.validation, data.test]
    if task == "waveform":
        assert all((part.targets == data.test.targets[0]).all() for part in parts)
    else:
        firsts = [part.batch(np.arange(10))[0]["features"] for part in parts]
        assert len({first.tobytes() for first in firsts}) == 3


# Each network on one task, and each task by one network: the rest of the grid is the same layers again.
@pytest.mark.parametrize(
    ("model", "task"), [(model, "adding") for model in (*MODELS, "stacked_rnn")] + [("gru", task) for task in LENGTHS]
)
def test_every_network_answers_every_task(model, task):
    recipe = small(task=task, model=model)
    data = recipe.load_data()
    inputs, targets, _ = data.test.batch(np.arange(min(2, len(data.test))))
    answers = np.asarray(recipe.build_model(data)(inputs["features"]))
    assert answers.shape == targets.shape
    assert np.isfinite(answers).all()


def test_metrics_by_hand():
    copy = small(task="copy", length=2, test_lengths=(2, 3))
    split = copy.load_data().test
    logits = np.where(split.targets.values > 0.5, 1.0, -1.0)
    logits[split.asked.values == 0] = 7
    answers = dataclasses.replace(split.targets, values=logits)
    perfect = dict.fromkeys(("sequence_accuracy_2", "bit_accuracy_2", "sequence_accuracy_3", "bit_accuracy_3"), 1.0)
    assert copy.judge({"answers": answers}, split).metrics == perfect
    logits[split.targets.starts[1500] + 5, 3] *= -1
    logits[split.targets.starts[1500] + 6, :2] *= -1
    metrics = copy.judge({"answers": answers}, split).metrics
    assert metrics["sequence_accuracy_2"] == metrics["bit_accuracy_2"] == 1
    assert metrics["sequence_accuracy_3"] == pytest.approx(1 - 1 / 1000)
    assert metrics["bit_accuracy_3"] == pytest.approx(1 - 3 / (1000 * 3 * 8))
    adding = small(task="adding")
    split = adding.load_data().test
    metrics = adding.judge({"answers": split.targets + 0.1}, split).metrics
    assert metrics["mse"] == pytest.approx(0.01, rel=1e-3)
    assert metrics["constant_mse"] == pytest.approx(split.targets.var(), rel=1e-3)


def test_what_is_refused_in_one_line():
    with pytest.raises(UsageError, match="unknown model 'lstn'; did you mean 'lstm'"):
        small(model="lstn").build_model(small().load_data())
    with pytest.raises(UsageError, match="memory_tasks can't use crf_tagger: it gives tags too"):
        small(model="crf_tagger").build_model(small().load_data())
    with pytest.raises(UsageError, match="memory_tasks can't use sequence_classifier: it is many-to-one"):
        small(model="sequence_classifier").build_model(small().load_data())
    with pytest.raises(UsageError, match="length must be at least 2, got 1"):
        small(length=1).load_data()
    with pytest.raises(UsageError, match="test_lengths are of copy and parity; adding has one length"):
        small(test_lengths=(5,)).load_data()
    with pytest.raises(UsageError, match="autoregressive has no units to choose"):
        small(model="autoregressive", parameters=100).build_model(small().load_data())


@pytest.mark.parametrize(
    ("model", "weights"),
    # A clockwork network of three modules that tick at 1, 2 and 4: six blocks, and input, bias, readout of each.
    [
        ("lstm", lambda units: 4 * units * (units + 2) + units + 1),
        ("clockwork", lambda units: 6 * units**2 + 9 * units + 1),
    ],
)
def test_units_for_so_many_weights(model, weights):
    recipe = small(task="waveform", model=model, parameters=80)
    nearest = min(map(weights, range(1, 20)), key=lambda count: abs(count - 80))
    assert recipe.build_model(recipe.load_data()).count_params() == nearest


@pytest.mark.slow
def test_xla_takes_the_same_steps(tmp_path):
    histories, recipe = [], small(task="waveform", model="simple_rnn", length=4, examples=12, batch_size=4, epochs=2)
    for folder, xla in (("plain", False), ("compiled", True)):
        variant = dataclasses.replace(recipe, xla=xla)
        (tmp_path / folder / "checkpoints").mkdir(parents=True)
        with training.numerics(variant):
            data, objective = variant.load_data(), variant.objective()
            model = variant.build_model(data)
            training.compile_model(model, variant, objective, data)
            done = training.fit(variant, model, objective, data, folder=tmp_path / folder, console=Console(quiet=True))
        histories.append([list(row.values()) for row in done.rows])
    np.testing.assert_allclose(*histories, rtol=1e-4)
    with pytest.raises(UsageError, match="xla compiles the step of one device, not of 2 replicas"):
        FitLoop(model, objective.loss, Team(types.SimpleNamespace(num_replicas_in_sync=2)), Stop(), xla=True)


@pytest.mark.slow
@pytest.mark.parametrize("model", [*MODELS, "attention_memory"])
def test_pictures(model):
    recipe = small(task="copy", model=model)
    data = recipe.load_data()
    (draw,) = recipe.illustrate(recipe.build_model(data), data)
    section = draw()
    assert section.title.startswith("Memory read and write weights" if model == "ntm" else "Gradient flow")
    shown = "no recurrent layer whose output is its state" if model == "attention_memory" else "<svg"
    assert shown in section.html


@pytest.mark.slow
def test_a_gru_adds(tmp_path):
    run = recipes.run("memory_tasks", out=tmp_path / "run", quiet=True, length=50)
    assert run.metrics["mse"] < 0.01
    for row in run.results["artifacts"]:
        assert row["metrics"]["mse"] == pytest.approx(run.metrics["mse"], rel=0.01)
