"""Forecasts of a time series over several steps: known ones, or a column of the user's CSV file."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from recipes.errors import UsageError
from recipes.fields import Cell, Count, Dropout, LearningRate, Positive, Search
from recipes.recipe import Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Column, Data, Split
    from recipes.report import Section


@dataclasses.dataclass(frozen=True)
class Known:
    """What is usual for a series.

    Attributes:
        dataset: As `recipes.datasets.load` calls it.
        column: The one that is forecast.
        horizon: How many steps ahead.
        season: After how many steps it repeats.
        unit: Of the values.
        gaps: Whether some of them are missing.
    """

    dataset: str
    column: str
    horizon: int
    season: int
    unit: str
    gaps: bool = False


SERIES = {
    "etth1": Known("ett/etth1", "OT", 24, 24, "degrees Celsius"),
    "etth2": Known("ett/etth2", "OT", 24, 24, "degrees Celsius"),
    # The sun's cycle takes about 11 years.
    "sunspots": Known("classic_series/sunspots", "value", 12, 132, "sunspots"),
    "sunspots_yearly": Known("classic_series/sunspots_yearly", "value", 5, 11, "sunspots"),
    "co2": Known("classic_series/co2", "value", 26, 52, "ppm", gaps=True),
    "temperatures": Known("classic_series/temperatures", "value", 7, 365, "degrees Celsius"),
    "airline": Known("classic_series/airline", "value", 6, 12, "thousand passengers"),
}
FILE_HORIZON = 24
TRAIN, VALIDATION = 0.7, 0.8
"""Where the parts of a file end, as shares of its rows; those of the known series are the published ones."""
CONFIDENCE = 0.9


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast(RecipeConfig):
    """Forecasts: reads the last values of a series and says the next ones, all at once.

    Splits go in time order, and the scale is fitted on the training part. The metrics are those of the scaled values
    (mean 0 and deviation 1 in the training part), beside the naive forecast (the last value again) and the seasonal one
    (what was one season ago). Known series: ETTh1 and ETTh2 with Informer's split (Zhou et al. 2021, arXiv:2012.07436),
    sunspots, CO2, temperatures, airline passengers. Your own: `--csv mine.csv --target temp`.
    """

    REFERENCE: ClassVar = (
        "ETTh1, 24 steps: LSTMa MSE 0.114, MAE 0.272; DeepAR 0.107, 0.280 (Zhou et al. 2021, univariate)"
    )

    OWN_FILE: ClassVar = "csv"

    epochs: Count = 8
    """Passes over the training data."""
    batch_size: Count = 128
    """Examples in a step of training."""
    learning_rate: LearningRate = 2e-3
    """Step size of Adam at the start."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    series: Literal["etth1", "etth2", "sunspots", "sunspots_yearly", "co2", "temperatures", "airline"] = "etth1"
    """Which known series to forecast; not used for a file."""
    csv: str | None = None
    """A CSV file of yours, with a header, its rows in time order."""
    target: str | None = None
    """The column of the file that is forecast."""
    time: str | None = None
    """The column of the file that says when; its order is checked."""
    fill_gaps: bool = False
    """Where the file has no number (an empty cell, NA), read the one before, but neither learn to forecast it nor count
    it in the metrics; unless given it is refused."""
    horizon: Count | None = None
    """Steps ahead; unless given what is usual for the series, 24 for a file."""
    history: Count | None = None
    """Past steps that are read; unless given four horizons, or a season where that is longer."""
    season: Count | None = None
    """Steps after which the series repeats, for the seasonal baseline; unless given the series' own, or one horizon."""
    model: str = "sequence_regressor"
    """What reads the past: a model of the zoo from numbers to numbers, for the sequence or at each step."""
    cell: Cell = "gru"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((16,), (32,), (48,), (64,), (32, 32)))] = (48,)
    """Width of each recurrent layer, from the input up."""
    dropout: Dropout = 0.0
    """Share of what each layer reads that is dropped in training."""
    data_dir: str | None = None
    """Folder with the raw files; unless given TFDS loads them."""

    @property
    def reference(self) -> str:
        """What others report for the series and the horizon."""
        published = self.csv is None and self.series == "etth1" and self._horizon == SERIES["etth1"].horizon
        return self.REFERENCE if published else ""

    def idle(self) -> dict[str, str]:
        """What is a file's beside a known series, and the other way round."""
        if self.csv is not None:
            return dict.fromkeys(("series", "data_dir"), "beside --csv")
        return dict.fromkeys(("target", "time", "fill_gaps"), "without a file of yours; name it with --csv")

    def load_data(self) -> "Data":
        """Cuts the series into windows; what is forecast in a part lies in that part, all of it."""
        import numpy as np

        from recipes import forecast_data
        from recipes.data import Data

        values, known, ends, name, unit = self._read()
        horizon, history = self._horizon, self._history
        if ends[0] < history + horizon or min(np.diff(ends)) < horizon:
            lower = "season" if self.history is None and history == self._season else "history"
            raise UsageError(
                f"forecast: {name} has {len(values):,} values, {ends[0]:,} of them to train, {ends[1] - ends[0]:,} to "
                f"validate, {ends[2] - ends[1]:,} to test: too few to read {history} and forecast {horizon}; "
                f"lower {lower} or horizon"
            )
        mean, deviation = forecast_data.scale(values[: ends[0]], name)
        scaled = ((values - mean) / deviation).astype("float32")

        def split(start: int, end: int) -> "Split":
            part = slice(max(0, start - history), end)
            return forecast_data.windows(scaled[part], known[part], history, horizon)

        data = Data(
            train=split(0, ends[0]),
            validation=split(ends[0], ends[1]),
            test=split(ends[1], ends[2]),
            summary=f"{name}: {len(values):,} values, forecast {horizon} steps ahead from {history}",
            preprocessing={"features": f"the last values in time order, minus {mean:.9g}, divided by {deviation:.9g}"},
            metadata={
                "mean": mean,
                "standard_deviation": deviation,
                "unit": unit,
                "horizon": horizon,
                "predictions": f"the next {horizon} values: times {deviation:.9g}, plus {mean:.9g}",
            },
        )
        forecast_data.refuse_what_is_not_known(data, name)
        return data

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model from `features` (batch, time, 1) to `predictions` (batch, horizon).

        It says how far the future is from the last value (as NLinear does, Zeng et al. 2023, arXiv:2205.13504): a level
        that it never saw in training is then nothing new to it.
        """
        import keras

        import zoo
        from recipes import models

        # The autoregressive baselines predict at each step; what they say at the last counts.
        known = self.model in zoo.list_models()
        at_each_step = known and zoo.get_spec(self.model).shape is zoo.get_spec("autoregressive").shape
        usual = "autoregressive" if at_each_step else "sequence_regressor"
        regressor = models.build(self, self.model, usual, {"features": 1, "targets": self._horizon})
        features = keras.Input((None, 1), name="features")
        last = features[:, -1:]  # (batch, time, 1) -> (batch, 1, 1)
        change = regressor(features - last)
        if at_each_step:
            change = change[:, -1]  # (batch, time, horizon) -> (batch, horizon)
        predictions = keras.layers.Add(dtype="float32", name="predictions")([change, last[:, :, 0]])
        return keras.Model(features, predictions, name="forecast")

    def objective(self) -> Objective:
        """Lowers the mean squared error; the epoch that has it lowest on the validation part is kept."""
        import keras

        if not self._has_gaps:
            return Objective("mean_squared_error", (keras.metrics.MeanAbsoluteError("mae"),), "val_loss", "min")
        from recipes import forecast_data

        return Objective(forecast_data.SquaredError(), (forecast_data.absolute_error(),), "val_loss", "min")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Measures the errors of the scaled values over all windows and steps, and those of both baselines."""
        import numpy as np

        from recipes.forecast_data import measured

        past, truth = split.inputs["features"][..., 0], split.targets
        horizon = truth.shape[1]
        repeated = past[:, past.shape[1] - self._season :][:, np.arange(horizon) % self._season]
        errors = {
            "": measured(np.asarray(outputs["predictions"]) - truth, split),
            "naive_": measured(past[:, -1:] - truth, split),
            "seasonal_naive_": measured(repeated - truth, split),
        }
        metrics = {}
        for name, error in errors.items():
            metrics |= {f"{name}mse": float(np.nanmean(error**2)), f"{name}mae": float(np.nanmean(np.abs(error)))}

        def by_step() -> "Section":
            from recipes import forecast_figures, report

            named = {"this model": errors[""], "naive": errors["naive_"], "seasonal naive": errors["seasonal_naive_"]}
            html = forecast_figures.error_by_step({name: np.nanmean(error**2, axis=0) for name, error in named.items()})
            return report.Section("Error by horizon", html, "Mean squared error of the scaled values, by steps ahead.")

        return Verdict(metrics, (by_step,))

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows forecasts beside what came, with the intervals that the validation part's errors give."""

        def forecasts() -> "Section":
            from recipes import forecast_figures, report

            html, covered = forecast_figures.with_intervals(model, data, CONFIDENCE)
            caption = (
                f"Forecasts from three moments of the test part. The band holds the middle {CONFIDENCE:.0%} of the "
                f"errors that the validation part had at each step ahead; of the test part it holds {covered:.1%}."
            )
            return report.Section("Forecast against truth", html, caption)

        return (forecasts,)

    @property
    def _has_gaps(self) -> bool:
        return self.fill_gaps if self.csv is not None else SERIES[self.series].gaps

    @property
    def _horizon(self) -> int:
        usual = FILE_HORIZON if self.csv is not None else SERIES[self.series].horizon
        return usual if self.horizon is None else self.horizon

    @property
    def _season(self) -> int:
        usual = self._horizon if self.csv is not None else SERIES[self.series].season
        return usual if self.season is None else self.season

    @property
    def _history(self) -> int:
        if self.history is None:
            return max(4 * self._horizon, self._season)
        if self.history < self._season:
            raise UsageError(
                f"forecast: history must hold a season of {self._season} steps for the seasonal baseline, got "
                f"{self.history}; raise history or set season"
            )
        return self.history

    def _read(self) -> "tuple[np.ndarray, np.ndarray, tuple[int, int, int], str, str]":
        """-> (values without gaps, which were measured, where each part ends, the series' name, its unit)."""
        import numpy as np

        if self.csv is not None:
            return self._read_csv(self.csv)
        if (stray := self.target or self.time) is not None:
            raise UsageError(f"forecast: the column {stray!r} is one of a file; name it with --csv")
        from recipes import datasets
        from recipes.forecast_data import without_gaps

        known = SERIES[self.series]
        parts = datasets.load(known.dataset, self.data_dir)
        columns = [np.asarray(parts[part][0][known.column], "float64") for part in ("train", "validation", "test")]
        ends = np.cumsum([len(column) for column in columns]).tolist()
        read = np.concatenate(columns)
        return without_gaps(read), ~np.isnan(read), (ends[0], ends[1], ends[2]), self.series, known.unit

    def _read_csv(self, path: str) -> "tuple[np.ndarray, np.ndarray, tuple[int, int, int], str, str]":
        import numpy as np

        from recipes import tables
        from recipes.forecast_data import without_gaps

        if self.target is None:
            raise UsageError(f"forecast: which column of {path} shall be forecast? Name it with --target")
        columns = tables.read_csv(path, numbers=[self.target], time=self.time, gaps=self.fill_gaps)
        read = np.asarray(columns[self.target])
        count, gaps = len(read), int(np.isnan(read).sum())
        name = f"{self.target!r} of {path}" + (f" ({gaps:,} of them filled in)" if gaps else "")
        ends = (round(TRAIN * count), round(VALIDATION * count), count)
        return without_gaps(read), ~np.isnan(read), ends, name, ""
