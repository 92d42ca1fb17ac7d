"""Chaotic series, heard and then continued by an echo state network that is fitted in closed form."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from recipes.chaos_tasks import TASKS, Task
from recipes.fields import Count, Positive, Range, Search
from recipes.recipe import Deployment, Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.checkpoints import Row
    from recipes.data import Column, Data, Split
    from recipes.report import Section

Scale = Annotated[float, Range(0)]
"""A scale that may be zero."""
PartOf = Annotated[float, Range(0, 1, above=True)]
"""A part of a whole, of which there must be some."""
DATA_SEED = 0
"""The series are the task's, not the run's: seeds are compared on the same ones."""


TRIALS = 50
"""Test series of a task that is generated; validation has as many."""
LATENCY_STEPS = 100
"""How many steps the call takes whose time is measured."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class Chaos(RecipeConfig):
    """Chaotic series: an echo state network hears one, then goes on by itself.

    The reservoir is random and stays so; its readout is solved at once, without gradients. Mackey-Glass as in Jaeger
    2001 (GMD report 148), NARMA10 (Atiya & Parlos 2000, doi:10.1109/72.846741), Lorenz 1963, the laser of the Santa Fe
    competition, whose published continuation is split here into validation and test.
    """

    REFERENCES: ClassVar[Mapping[str, str]] = {
        "mackey_glass": "NRMSE84 2.8e-4, 400 units (Jaeger 2001); one-step RMSE 0.0020, 100 units (ReservoirPy)",
        "narma10": "echo state networks: NRMSE about 0.15",
    }
    """Task -> what others report."""

    task: Literal["mackey_glass", "narma10", "lorenz", "santa_fe"] = "mackey_glass"
    """Which series."""
    model: str = "echo_state_network"
    """The reservoir: any model of the zoo of this one's shape."""
    units: Count = 400
    """Size of the reservoir."""
    spectral_radius: Annotated[Scale | None, Search(0.3, 1.3)] = None
    """Largest absolute eigenvalue of the recurrent weights; unless given what suits the task."""
    input_scaling: Annotated[Scale | None, Search(0.1, 3.0, log=True)] = None
    """Largest absolute input weight; unless given what suits the task."""
    bias_scaling: Annotated[Scale | None, Search(0.0, 0.6)] = None
    """Largest absolute bias; unless given what suits the task."""
    leak_rate: Annotated[PartOf | None, Search(0.2, 1.0)] = None
    """How much of the state is new at each step; unless given what suits the task."""
    squares_to_readout: bool | None = None
    """Whether the readout also sees the squares of the states (Jaeger 2003); unless given what suits the task."""
    connectivity: PartOf = 0.05
    """Share of the recurrent weights that is not zero."""
    ridge: Annotated[Positive | None, Search(1e-12, 1e-4, log=True)] = None
    """Strength of the readout's regularisation; unless given what suits the task."""
    washout: Count | None = None
    """Steps at the start of each series that do not count: the reservoir still remembers its zero start. Unless given
    what suits the task."""
    data_dir: str | None = None
    """Folder with the laser's raw file; unless given TFDS loads it. The other series are generated."""

    @property
    def reference(self) -> str:
        """What others report for the task."""
        return self.REFERENCES.get(self.task, "")

    def idle(self) -> dict[str, str]:
        """The place of the data where they are generated."""
        return {} if self.task == "santa_fe" else {"data_dir": f"on {self.task}, which is generated"}

    def load_data(self) -> "Data":
        """Makes one series to fit on, and trials to validate and to test: heard, then to be continued."""
        from recipes.data import Data, Split
        from recipes.errors import UsageError

        task = self._task
        if self._washout >= min(task.heard, task.train):
            least = min(task.heard, task.train)
            raise UsageError(f"chaos: washout must be below {least}, the steps of a series; got {self.washout}")
        parts, preprocessing = self._laser() if self.task == "santa_fe" else self._generated()
        splits = {
            name: Split({"features": inputs.astype("float32")}, targets.astype("float32"))
            for name, (inputs, targets) in parts.items()
        }
        return Data(
            **splits,
            summary=f"{task.about}: {task.train:,} steps to fit, trials of {task.heard:,}"
            + (f" and {task.horizon} to go on" if task.horizon else ""),
            preprocessing={"features": preprocessing},
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a reservoir from `features` (batch, time, features) to `predictions` (batch, time, targets)."""
        import keras

        import zoo
        from recipes import models
        from recipes.errors import UsageError

        known = zoo.get_spec(self.model).fields if self.model in zoo.list_models() else {}
        sizes = {"features": data.train.inputs["features"].shape[-1], "targets": data.train.targets.shape[-1]}
        suited = {name: self._suited(name) for name in self._task.reservoir if name in known}
        model = models.build(self, self.model, "echo_state_network", sizes | suited)
        if not isinstance(model.get_layer("predictions"), keras.layers.Dense):
            raise UsageError(
                f"chaos can't use {self.model}: what it says is no linear readout, which is all that is fitted"
            )
        return model

    def objective(self) -> Objective:
        """The readout has the least squared error there is; nothing is trained by gradients."""
        return Objective("mean_squared_error", (), "val_loss", "min")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Measures the prediction of the next step and, where the series drives itself, the end of the free run."""
        import numpy as np

        heard, targets = split.inputs["features"].shape[1], np.asarray(split.targets, "float64")
        error = (np.asarray(outputs["predictions"]) - targets[:, :heard])[:, self._washout :]
        deviation = targets.std(axis=(0, 1))
        one_step = {
            "one_step_nrmse": float(np.sqrt((error**2).mean(axis=(0, 1)) / deviation**2).mean()),
            "one_step_rmse": float(np.sqrt((error**2).mean())),
        }
        if "free_run" not in outputs:
            return Verdict(one_step, (lambda: _followed(outputs, targets, "predictions"),))
        run = np.asarray(outputs["free_run"])
        missed = run - targets[:, heard - 1 :]
        # (trials, horizon, features) -> (horizon,): over all trials, as Jaeger counts
        by_step = np.sqrt((missed**2).mean(axis=0) / deviation**2).mean(axis=-1)
        metrics = {f"nrmse{run.shape[1]}": float(by_step[-1]), **one_step}
        sections = (
            lambda: _followed(outputs, targets[:, heard - 1 :], "free_run"),
            lambda: _growth(by_step),
        )
        return Verdict(metrics, sections)

    def solve(self, model: "keras.Model", data: "Data") -> "Row | None":
        """Solves the readout by ridge regression."""
        import numpy as np

        from zoo.reservoir import fit_readout

        inputs, targets = data.train.inputs["features"], data.train.targets
        fit_readout(model, inputs, targets, ridge=self._suited("ridge"), washout=self._washout)

        def loss(part: "Split") -> float:
            sound = part.inputs["features"]
            missed = model.predict(sound, verbose=0) - part.targets[:, : sound.shape[1]]
            return float(np.square(missed[:, self._washout :]).mean())

        return {"loss": loss(data.train), "val_loss": loss(data.validation)}

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Offers the network for whole series and as a step, which goes on by itself when it is fed what it said.

        A free run of chaos is no file of its own: rounding grows in it as any error does, so that no two runtimes could
        be held to one tolerance. The files are judged by how far they get instead.
        """
        from zoo.free_run import free_run

        whole = Deployment(model, example={"features": data.test.inputs["features"][:1, :LATENCY_STEPS]})
        if not self._task.horizon:
            return (whole,)
        step = Deployment(
            model,
            "step",
            formats=("tflite", "onnx"),
            options={"streaming": True},
            metrics=lambda path: self.judge(_runs(path, data.test, self._task.horizon), data.test).metrics,
            example={"features": data.test.inputs["features"][0, :1]},
        )
        # The first is what the Keras model is judged by.
        return (Deployment(free_run(model, self._task.horizon), formats=()), whole, step)

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows what the reservoir's units do while they hear."""

        def states() -> "Section":
            from recipes import chaos_figures, report

            html = chaos_figures.states(model, data.test.inputs["features"][:1, -chaos_figures.STEPS :])
            caption = f"The states of {chaos_figures.UNITS} units (rows), step by step, and what they hear above them."
            return report.Section("Reservoir states", html, caption)

        return (states,)

    @property
    def _task(self) -> Task:
        return TASKS[self.task]

    @property
    def _washout(self) -> int:
        return self._task.washout if self.washout is None else self.washout

    def _suited(self, name: str) -> float:
        own = getattr(self, name)
        return self._task.reservoir[name] if own is None else own

    def _generated(self) -> "tuple[dict[str, tuple[np.ndarray, np.ndarray]], str]":
        from recipes import chaos_series

        task = self._task
        trial = task.heard + task.horizon
        made = {}
        for seed, (part, count, steps) in enumerate(
            [("train", 1, task.train), ("validation", TRIALS, trial), ("test", TRIALS, trial)], start=DATA_SEED
        ):
            if self.task == "narma10":
                made[part] = chaos_series.narma10(count, steps, seed)
            else:
                make = {"mackey_glass": chaos_series.mackey_glass, "lorenz": chaos_series.lorenz}[self.task]
                heard = task.train - 1 if part == "train" else task.heard
                made[part] = _ahead(make(count, steps, seed), heard)
        how = {"mackey_glass": "tanh(y - 1)", "lorenz": "x / 7.9, y / 9.0, (z - 23.5) / 8.6", "narma10": "0 to 0.5"}
        return made, how[self.task]

    def _laser(self) -> "tuple[dict[str, tuple[np.ndarray, np.ndarray]], str]":
        import numpy as np

        from recipes import datasets

        splits = datasets.load("santa_fe_laser", self.data_dir)
        given, later = (np.asarray(splits[part][0]["value"]) / 255 for part in ("train", "continuation"))
        task, trial = self._task, self._task.heard + max(1, self._task.horizon)
        trials = later[: len(later) // trial * trial].reshape(-1, trial, 1)
        half = len(trials) // 2
        parts = {
            "train": _ahead(given[None, :, None], len(given) - 1),
            "validation": _ahead(trials[:half], task.heard),
            "test": _ahead(trials[half:], task.heard),
        }
        return parts, "intensity, 0 to 255, divided by 255"


def _ahead(series: "np.ndarray", heard: int) -> "tuple[np.ndarray, np.ndarray]":
    """-> (what is heard, what comes one step later: after the last that is heard the free run's truth)."""
    return series[:, :heard], series[:, 1:]


def _runs(path: Path, test: "Split", horizon: int) -> "dict[str, np.ndarray]":
    """Lets a step file hear each series and then itself; -> what the model that goes on by itself would give."""
    import numpy as np

    import export

    stream = export.Stream(path)
    predictions, runs = [], []
    for heard in test.inputs["features"]:
        stream.reset()
        said = stream.feed(heard)["predictions"]
        run = [said[-1:]]
        while len(run) < horizon:
            run.append(stream.feed(run[-1])["predictions"])
        predictions.append(said)
        runs.append(np.concatenate(run))
    return {"predictions": np.stack(predictions), "free_run": np.stack(runs)}


def _followed(outputs: "Mapping[str, Column]", truth: "np.ndarray", name: str) -> "Section":
    import numpy as np

    from recipes import chaos_figures, report

    html = chaos_figures.beside(truth, np.asarray(outputs[name]))
    if name == "free_run":
        return report.Section(
            "Free run against truth", html, "Three test series: where they went, and where the model."
        )
    return report.Section("Prediction against truth", html, "The last steps of three test series.")


def _growth(by_step: "np.ndarray") -> "Section":
    from recipes import chaos_figures, report

    caption = "Normalised error over all test series, by how long the model has been on its own."
    return report.Section("Error of the free run", chaos_figures.growth(by_step), caption)
