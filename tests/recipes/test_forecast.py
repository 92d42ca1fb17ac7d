"""Windows, splits and scale against a plain loop, the baselines by hand, the user's file, what is refused."""

import dataclasses

import numpy as np
import pytest

import recipes
from recipes import datasets, forecast_figures
from recipes.errors import RecipeError, UsageError

COUNT, HORIZON, HISTORY = 200, 4, 16


def wave(count=COUNT):
    return 20 + 5 * np.sin(np.arange(count) * np.pi / 2) + 0.01 * np.arange(count)


def write(folder, values, header="when,temp"):
    path = folder / "mine.csv"
    path.write_text("\n".join([header, *(f"{row},{value}" for row, value in enumerate(values)), ""]))
    return str(path)


@pytest.fixture
def recipe(tmp_path):
    fields = {"csv": write(tmp_path, wave()), "target": "temp", "time": "when", "horizon": HORIZON}
    return dataclasses.replace(recipes.get_recipe("forecast"), **fields)


def test_windows_are_those_of_a_plain_loop(recipe):
    data, values = recipe.load_data(), wave()
    mean, deviation = values[:140].mean(), values[:140].std()
    assert data.metadata["mean"] == pytest.approx(mean)
    assert data.metadata["standard_deviation"] == pytest.approx(deviation)
    scaled = (values - mean) / deviation
    for part, start, end in ((data.train, HISTORY, 140), (data.validation, 140, 160), (data.test, 160, 200)):
        moments = range(start, end - HORIZON + 1)
        assert len(part) == len(moments)
        for row, moment in enumerate(moments):
            past = part.inputs["features"][row, :, 0]
            np.testing.assert_allclose(past, scaled[moment - HISTORY : moment], atol=1e-6)
            np.testing.assert_allclose(part.targets[row], scaled[moment : moment + HORIZON], atol=1e-6)


def test_the_scale_knows_nothing_of_what_comes_later(recipe, tmp_path):
    before = recipe.load_data().metadata
    changed = wave()
    changed[140:] *= 50
    write(tmp_path, changed)
    assert recipe.load_data().metadata == before


def test_metrics_by_hand(recipe):
    data = recipe.load_data()
    past, truth = data.test.inputs["features"][..., 0], data.test.targets
    metrics = recipe.judge({"predictions": truth + 0.5}, data.test).metrics
    assert metrics["mse"] == pytest.approx(0.25, rel=1e-4)
    assert metrics["mae"] == pytest.approx(0.5, rel=1e-4)
    naive = [(past[row, -1] - truth[row, step]) ** 2 for row in range(len(truth)) for step in range(HORIZON)]
    assert metrics["naive_mse"] == pytest.approx(np.mean(naive), rel=1e-4)
    # The series repeats every four steps but for its slope.
    slope = 4 * 0.01 / data.metadata["standard_deviation"]
    assert metrics["seasonal_naive_mae"] == pytest.approx(slope, rel=1e-3)
    other = dataclasses.replace(recipe, season=3).judge({"predictions": truth}, data.test).metrics
    seasonal = [past[row, HISTORY - 3 + step % 3] - truth[row, step] for row in range(len(truth)) for step in range(4)]
    assert other["seasonal_naive_mse"] == pytest.approx(np.square(seasonal).mean(), rel=1e-4)


@pytest.mark.parametrize("model", ["sequence_regressor", "autoregressive", "latent_autoregressive"])
def test_the_model_says_how_far_from_the_last_value(recipe, model):
    recipe = dataclasses.replace(recipe, model=model)
    data = recipe.load_data()
    model = recipe.build_model(data)
    features = data.test.inputs["features"][:3]
    level = model.predict_on_batch(features + 7) - model.predict_on_batch(features)
    np.testing.assert_allclose(level, 7, atol=1e-4)
    assert level.shape == (3, HORIZON)


def test_intervals_hold_what_they_say(recipe):
    data = recipe.load_data()
    last = data.test.inputs["features"].shape[1]

    class Naive:
        def predict(self, features, **_):
            return np.repeat(features[:, last - 1], HORIZON, axis=1)

    same = dataclasses.replace(data, test=data.validation)
    _, covered = forecast_figures.with_intervals(Naive(), same, 0.9)
    assert 0.75 < covered < 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"target": None}, "Name it with --target"),
        ({"target": "tmp"}, "did you mean 'temp'"),
        ({"history": 150}, "too few to read 150 and forecast 4; lower history or horizon"),
        ({"history": 2}, "history must hold a season of 4 steps"),
        ({"csv": None}, "the column 'temp' is one of a file; name it with --csv"),
        ({"model": "sequence_tagger"}, "forecast can't use sequence_tagger"),
    ],
)
def test_what_is_refused_in_one_line(recipe, fields, words):
    wrong = dataclasses.replace(recipe, **fields)
    with pytest.raises(UsageError, match=words) as refusal:
        wrong.build_model(wrong.load_data())
    assert "\n" not in str(refusal.value)


def test_a_broken_row_names_file_and_line(recipe, tmp_path):
    values = [*wave()[:100], "warm", *wave()[100:]]
    path = write(tmp_path, values)
    with pytest.raises(RecipeError, match=rf"{path}, line 102: expected a number in column 'temp', found 'warm'"):
        recipe.load_data()


def test_a_series_that_never_moves_is_refused(recipe, tmp_path):
    write(tmp_path, np.full(COUNT, 3.0))
    with pytest.raises(UsageError, match="the same value, 3, all through the training part"):
        recipe.load_data()


def test_gaps_are_filled_from_the_past(monkeypatch):
    values = np.sin(np.arange(400.0))
    values[[50, 51, 300]] = np.nan
    parts = {"train": values[:280], "validation": values[280:320], "test": values[320:]}
    monkeypatch.setattr(
        datasets, "load", lambda name, data_dir: {part: [{"value": column}] for part, column in parts.items()}
    )
    recipe = dataclasses.replace(recipes.get_recipe("forecast"), series="co2", horizon=2, season=2)
    read = recipe._read()[0]
    assert read[50] == read[51] == values[49]
    assert read[300] == values[299]
    assert len(recipe.load_data().test) == 80 - 1


def test_gaps_of_a_file_are_filled_where_that_is_wanted(recipe, tmp_path):
    values = wave()
    write(tmp_path, [*values[:50], "", "NA", *values[52:]])
    with pytest.raises(RecipeError, match="line 52: expected a number in column 'temp', found an empty cell"):
        recipe.load_data()
    filled = dataclasses.replace(recipe, fill_gaps=True)
    np.testing.assert_array_equal(filled._read()[0], [*values[:50], values[49], values[49], *values[52:]])


def test_values_that_have_no_finite_deviation_are_refused(recipe, tmp_path):
    write(tmp_path, 1e200 * wave())
    with pytest.raises(UsageError, match="has too large values"):
        recipe.load_data()


def test_a_run_in_miniature(recipe, tmp_path):
    fields = {field: getattr(recipe, field) for field in ("csv", "target", "time", "horizon")}
    run = recipes.run("forecast", out=tmp_path / "run", quiet=True, epochs=2, units=(4,), **fields)
    for row in run.results["artifacts"]:
        assert row["metrics"]["mse"] == pytest.approx(run.metrics["mse"], rel=1e-3)
    page = (run.folder / "report.html").read_text()
    assert "Forecast against truth" in page
    assert "Error by horizon" in page


@pytest.mark.slow
def test_etth1_is_better_than_the_reference_and_both_baselines(tmp_path):
    metrics = recipes.run("forecast", out=tmp_path / "run", quiet=True).metrics
    assert metrics["mse"] <= 0.107
    assert metrics["mse"] < metrics["seasonal_naive_mse"]


def with_gaps(recipe, tmp_path):
    """A wave with a long gap in each part; -> the recipe that fills them."""
    cells = [f"{value:.6f}" for value in wave()]
    for start in (COUNT // 4, COUNT * 3 // 4, COUNT - 20):
        cells[start : start + 5] = ["NA"] * 5
    write(tmp_path, cells)
    return dataclasses.replace(recipe, fill_gaps=True)


def test_what_was_filled_in_is_neither_judged_nor_learned(recipe, tmp_path):
    recipe = with_gaps(recipe, tmp_path)
    data = recipe.load_data()
    inputs, truth, weights = data.test.batch(np.arange(len(data.test)))
    assert {0.0, 1.0} == set(weights.ravel())
    # What is said where nothing was measured changes no figure, what is said elsewhere does.
    said = truth + 1
    figures = recipe.judge({"predictions": said}, data.test).metrics
    assert figures["mse"] == pytest.approx(1)
    assert recipe.judge({"predictions": np.where(weights > 0, said, 1e3)}, data.test).metrics == figures
    assert recipe.judge({"predictions": np.where(weights > 0, 1e3, said)}, data.test).metrics != figures
    naive = np.square(inputs["features"][:, -1] - truth)[weights > 0].mean()
    assert figures["naive_mse"] == pytest.approx(naive, rel=1e-4)
    objective = recipe.objective()
    expected = np.square(0.5 * np.arange(HORIZON)[None] * weights).sum() / weights.sum()
    loss = objective.loss(truth, truth + 0.5 * np.arange(HORIZON), sample_weight=weights)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    mae = objective.metrics[0]
    mae.update_state(truth, np.where(weights > 0, truth + 0.25, 1e3), sample_weight=weights)
    assert float(mae.result()) == pytest.approx(0.25, rel=1e-4)


def test_a_run_on_a_file_with_gaps(recipe, tmp_path):
    recipe = with_gaps(recipe, tmp_path)
    fields = {field: getattr(recipe, field) for field in ("csv", "target", "time", "horizon", "fill_gaps")}
    run = recipes.run("forecast", out=tmp_path / "run", quiet=True, epochs=1, units=(4,), **fields)
    assert all(np.isfinite(value) for value in run.metrics.values())
    assert "nan" not in (run.folder / "metrics.csv").read_text()
    assert "Forecast against truth" in (run.folder / "report.html").read_text()


def test_a_part_of_gaps_alone_is_refused(recipe, tmp_path):
    values = [f"{value:.6f}" for value in wave()]
    write(tmp_path, [*values[: COUNT * 3 // 4], *["NA"] * (COUNT - COUNT * 3 // 4)])
    with pytest.raises(UsageError, match="all that its test part forecasts was filled in"):
        dataclasses.replace(recipe, fill_gaps=True).load_data()
