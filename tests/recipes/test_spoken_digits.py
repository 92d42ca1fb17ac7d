"""The parts, the variation of sounds, the metrics, and a run in miniature through files that are fed chunk by chunk."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import recipes
from recipes import audio, datasets
from recipes.errors import UsageError

RATE = 8000
FIELDS = {"seconds": 0.3, "units": (4,), "bands": 12, "epochs": 1}


def tone(digit, take):
    """A recording of its own for each digit and take, of its own length."""
    time = np.arange(1500 + 40 * take + 10 * digit) / RATE
    return (8000 * np.sin(2 * np.pi * (300 + 150 * digit) * time)).astype("int16")


@pytest.fixture
def recipe(monkeypatch):
    takes = [
        {"audio": tone(digit, take), "digit": digit, "speaker": "theo", "take": take}
        for digit in range(10)
        for take in range(14)
    ]
    parts = {
        "train": [take for take in takes if take["take"] >= 5],
        "test": [take for take in takes if take["take"] < 5],
    }
    monkeypatch.setattr(datasets, "load", lambda name, data_dir: parts)
    return dataclasses.replace(recipes.get_recipe("spoken_digits"), **FIELDS)


def test_no_take_is_in_two_parts(recipe):
    data = recipe.load_data()
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 50, 50]
    sounds = [sound.tobytes() for part in (data.train, data.validation, data.test) for sound in part.inputs["samples"]]
    assert len(set(sounds)) == 140
    first = data.test.inputs["samples"][0, :, 0]
    np.testing.assert_allclose(first[:1500], tone(0, 0) / 32768, atol=1e-6)
    assert not first[1500:].any(), "silence behind it"
    assert data.test.targets.shape == (50, 1 + (2400 - 200) // 160)


def test_normalisation_is_fitted_on_the_training_part(recipe):
    data = recipe.load_data()
    model = recipe.build_model(data)
    columns = np.asarray(model.get_layer("normalization")(model.get_layer("log_mel")(data.train.inputs["samples"])))
    np.testing.assert_allclose(columns.mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(columns.std(axis=(0, 1)), 1, atol=1e-2)
    changed = dataclasses.replace(data, test=data.validation, validation=data.test)
    other = recipe.build_model(changed).get_layer("normalization")
    np.testing.assert_array_equal(np.asarray(other.mean), np.asarray(model.get_layer("normalization").mean))


def vary(samples, seed=(1, 2), **changes):
    settings = {"speed": 0.0, "delay": 0, "gain": 0.0, "noise": 0.0} | changes
    return audio.vary(tf.constant(samples), tf.constant(seed, tf.int64), **settings).numpy()


def test_variation():
    samples = np.zeros((64, 400, 1), "float32")
    samples[:, 100] = 0.5
    np.testing.assert_allclose(vary(samples), samples, atol=1e-6)
    late = vary(samples, delay=50)
    moved = np.average(np.arange(400), weights=late.mean(axis=0)[:, 0]) - 100
    assert 15 < moved < 35, "half of the longest delay on the average"
    level = 20 * np.log10(np.abs(vary(samples, gain=6.0)).max(axis=(1, 2)) / 0.5)
    assert -6.01 <= level.min() < -3
    assert 3 < level.max() <= 6.01
    noisy = (vary(samples, noise=0.1) - samples).std(axis=(1, 2))
    assert 0 < noisy.min() < 0.001
    assert 0.02 < noisy.max() < 0.06
    fast = np.abs(vary(samples, speed=0.1)).argmax(axis=1)
    assert fast.min() < 95
    assert fast.max() > 105
    np.testing.assert_array_equal(vary(samples, noise=0.1, delay=9), vary(samples, noise=0.1, delay=9))
    assert (vary(samples, noise=0.1) != vary(samples, (3, 4), noise=0.1)).any()


def test_judge_looks_at_the_last_answer(recipe):
    data = recipe.load_data()
    logits = np.zeros((50, data.test.targets.shape[1], 10))
    logits[np.arange(50), -1, data.test.targets[:, -1]] = 1
    assert recipe.judge({"logits": logits}, data.test).metrics == {"accuracy": 1.0}
    logits[:5, -1] = np.roll(logits[:5, -1], 1, axis=-1)
    assert recipe.judge({"logits": logits}, data.test).metrics == {"accuracy": pytest.approx(0.9)}


def test_too_many_bands_are_refused_in_one_line(recipe):
    recipe = dataclasses.replace(recipe, bands=120)
    with pytest.raises(UsageError, match="spoken_digits: 120 bands are too many"):
        recipe.build_model(recipe.load_data())


def test_what_can_be_offered(recipe):
    data = recipe.load_data()
    names = [deployment.name for deployment in recipe.deployments(recipe.build_model(data), data)]
    assert names == ["model", "stream", "micro-front-end", "micro"]
    gru = dataclasses.replace(recipe, cell="gru")
    assert [deployment.name for deployment in gru.deployments(gru.build_model(data), data)] == ["model", "stream"]
    both = dataclasses.replace(recipe, model="bidirectional_tagger")
    assert [deployment.name for deployment in both.deployments(both.build_model(data), data)] == ["model"]


@pytest.mark.slow
def test_a_run_in_miniature(recipe, tmp_path):
    run = recipes.run("spoken_digits", out=tmp_path / "run", quiet=True, **FIELDS)
    rows = {row["file"]: row for row in run.results["artifacts"]}
    streams = [row for name, row in rows.items() if name.startswith("stream")]
    assert len(rows) == 11
    assert len(streams) == 4
    for row in streams:
        assert row["metrics"]["microseconds_per_chunk"] > 0
        assert row["metrics"]["real_time_factor"] == pytest.approx(row["metrics"]["microseconds_per_chunk"] / 20_000)
    for name in ("stream.tflite", "stream.onnx", "model.tflite", "model.onnx"):
        assert rows[name]["metrics"]["accuracy"] == run.metrics["accuracy"]
    assert (run.folder / "exports" / "micro-int8.cc").exists()
    assert "running prediction" in (run.folder / "report.html").read_text()


@pytest.mark.slow
def test_the_quality_that_is_promised(tmp_path):
    run = recipes.run("spoken_digits", out=tmp_path / "run", quiet=True)
    assert run.metrics["accuracy"] >= 0.96
    for row in run.results["artifacts"]:
        allowed = 0.005 if "int8" in row["file"] else 0.001
        assert row["metrics"].get("accuracy", 1.0) >= run.metrics["accuracy"] - allowed - 1e-9
