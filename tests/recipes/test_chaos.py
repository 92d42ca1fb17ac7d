"""The series against their equations, the free run against a loop, the metrics against a hand's."""

import dataclasses

import numpy as np
import pytest

import recipes
import zoo
from recipes import chaos_series
from recipes.errors import UsageError
from zoo.free_run import free_run

SMALL = {"units": 30, "task": "mackey_glass"}


@pytest.fixture(scope="module")
def small():
    recipe = dataclasses.replace(recipes.get_recipe("chaos"), **SMALL)
    return recipe, recipe.load_data()


def test_mackey_glass_obeys_its_equation():
    series = np.arctanh(chaos_series.mackey_glass(2, 400, seed=3)[..., 0]) + 1
    # Simpson's rule over two steps around t: y(t+1) - y(t-1) is the integral of the slope.
    slope = 0.2 * series[:, :-17] / (1 + series[:, :-17] ** 10) - 0.1 * series[:, 17:]
    grown = (slope[:, :-2] + 4 * slope[:, 1:-1] + slope[:, 2:]) / 3
    np.testing.assert_allclose(series[:, 19:] - series[:, 17:-2], grown, atol=2e-3)
    assert (series[0] != series[1]).any()


def test_lorenz_obeys_its_equations():
    series = chaos_series.lorenz(1, 300, seed=0)[0] * [7.9, 9.0, 8.6] + [0, 0, 23.5]
    x, y, z = series.T
    slopes = np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=-1)
    central = (series[2:] - series[:-2]) / 0.04
    np.testing.assert_allclose(central, slopes[1:-1], atol=0.05 * np.abs(slopes).max())
    assert (np.abs(series) < 60).all()


def test_narma_obeys_its_equation():
    u, y = (part[..., 0] for part in chaos_series.narma10(2, 100, seed=1))
    for t in range(10, 99):
        past = y[:, t - 10 : t]
        wanted = 0.3 * y[:, t - 1] + 0.05 * y[:, t - 1] * past.sum(axis=1) + 1.5 * u[:, t - 9] * u[:, t] + 0.1
        np.testing.assert_allclose(y[:, t], wanted)


@pytest.mark.parametrize("task", [pytest.param("mackey_glass", marks=pytest.mark.slow), "narma10", "lorenz"])
def test_parts_are_different_series_and_the_same_for_every_seed(task):
    recipe = dataclasses.replace(recipes.get_recipe("chaos"), task=task)
    data, again = recipe.load_data(), dataclasses.replace(recipe, seed=5).load_data()
    np.testing.assert_array_equal(data.test.inputs["features"], again.test.inputs["features"])
    heads = {part: getattr(data, part).inputs["features"][0, :50].tobytes() for part in ("train", "validation", "test")}
    assert len(set(heads.values())) == 3
    if task != "narma10":
        inputs, targets = data.test.inputs["features"], data.test.targets
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, : inputs.shape[1] - 1], "what comes next")
        assert targets.shape[1] == inputs.shape[1] - 1 + recipe._task.horizon


@pytest.mark.parametrize(("direct", "squares"), [(True, False), (True, True), (False, True), (False, False)])
def test_a_free_run_feeds_each_prediction_back(direct, squares):
    fields = {"features": 2, "targets": 2, "units": 15, "leak_rate": 0.7}
    model = zoo.create_model("echo_state_network", **fields, input_to_readout=direct, squares_to_readout=squares)
    random, kernel = np.random.default_rng(0), model.get_layer("predictions").kernel
    kernel.assign(random.normal(0, 0.3, kernel.shape))
    heard = random.normal(size=(3, 20, 2)).astype("float32")
    outputs = free_run(model, 5).predict_on_batch(heard)
    np.testing.assert_allclose(outputs["predictions"], model.predict_on_batch(heard), atol=1e-6)
    for step in range(5):
        said = model.predict_on_batch(heard)[:, -1:]
        np.testing.assert_allclose(outputs["free_run"][:, step : step + 1], said, atol=1e-5)
        heard = np.concatenate([heard, said], axis=1)


def test_a_free_run_needs_a_reservoir_that_predicts_what_it_reads():
    with pytest.raises(ValueError, match="no reservoir with a readout"):
        free_run(zoo.create_model("sequence_tagger", features=1, classes=1), 3)
    with pytest.raises(ValueError, match="has 1 and 2"):
        free_run(zoo.create_model("echo_state_network", features=2, targets=1), 3)


def test_judge_measures_the_last_step_of_the_run(small):
    recipe, data = small
    heard, targets = data.test.inputs["features"].shape[1], data.test.targets
    outputs = {"predictions": targets[:, :heard].copy(), "free_run": targets[:, heard - 1 :].copy()}
    assert set(recipe.judge(outputs, data.test).metrics.values()) == {0.0}
    outputs["free_run"][:, -1] += 0.1
    metrics = recipe.judge(outputs, data.test).metrics
    assert metrics["nrmse84"] == pytest.approx(0.1 / targets.astype("float64").std(), rel=1e-5)
    assert metrics["one_step_rmse"] == 0.0


def test_a_model_without_a_readout_to_fit_is_refused():
    recipe = dataclasses.replace(recipes.get_recipe("chaos"), model="output_recurrent")
    with pytest.raises(UsageError, match="chaos can't use output_recurrent: what it says is no linear readout"):
        recipe.build_model(recipe.load_data())


def test_a_washout_longer_than_the_series_is_refused():
    with pytest.raises(UsageError, match="washout must be below 1500, the steps of a series; got 1500"):
        dataclasses.replace(recipes.get_recipe("chaos"), washout=1500).load_data()


def test_the_solved_readout_predicts_the_next_step(small):
    recipe, data = small
    model = recipe.build_model(data)
    row = recipe.solve(model, data)
    assert row["val_loss"] < 1e-4 * data.validation.targets.var()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "metric", "bound"), [("mackey_glass", "nrmse84", 5e-3), ("narma10", "one_step_nrmse", 0.16)]
)
def test_a_whole_run(task, metric, bound, tmp_path):
    run = recipes.run("chaos", task=task, out=tmp_path / "run", quiet=True)
    assert run.metrics[metric] < bound
    for row in run.results["artifacts"]:
        assert row["metrics"]["one_step_nrmse"] == pytest.approx(run.metrics["one_step_nrmse"], rel=0.05)
    page = (run.folder / "report.html").read_text()
    assert "Reservoir states" in page
