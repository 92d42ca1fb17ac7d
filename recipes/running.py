"""From a recipe's name to a folder: train, judge, export, verify, measure, report."""

import dataclasses
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import keras

from recipes import artifacts, bptt, devices, judging, pages, pipelines, strategies, training
from recipes.beginning import begun
from recipes.checkpoints import Progress
from recipes.console import Console
from recipes.data import Data, Split, Stream
from recipes.errors import Interrupted, RecipeError, UsageError, first_line
from recipes.files import read_json, write_atomically, write_json
from recipes.loading import load_model
from recipes.recipe import Deployment, RecipeConfig, Verdict, recipe_name
from recipes.run_folder import RunFolder, begin, configured, default_folder
from recipes.strategies import Team

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run has made.

    Attributes:
        folder: Where it stands.
        config: The recipe with its settings.
        data: What it was trained and judged on.
        model: The trained Keras model, with the weights of its best epoch.
        metrics: The test metrics.
        results: What `results.json` holds: the metrics, each artifact's measurements, the time each phase took.
    """

    folder: Path
    config: RecipeConfig
    data: Data
    model: keras.Model
    metrics: dict[str, float]
    results: dict[str, Any]


def run(
    name: str,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    preset: str | None = None,
    wait: bool = False,
    strategy: str | None = None,
    data_service: str | None = None,
    **fields: Any,
) -> Run:
    """Trains a recipe, exports the model to every format, verifies and measures each file, writes the report.

    Args:
        name: The recipe, see `recipes.list_recipes`.
        out: The run's folder; `runs/<name>` unless given. It must not exist yet, or one of the next two be set.
        resume: Go on with the run in the folder, from its last complete epoch or the step that SIGTERM has saved.
        overwrite: Throw away the run in the folder.
        quiet: Say nothing on the way.
        preset: Settings of the recipe's that go together, such as "full"; the fields change some of them.
        wait: Where another process uses the folder, wait until it has done with it.
        strategy: `"mirrored"` trains on all GPUs of this machine, `"multi_worker"` on those of all machines that the
            environment variable TF_CONFIG names; there each process calls this alike, with a folder that all see, and
            the chief alone writes files: the others return with the trained model, and without metrics and results.
        data_service: `"grpc://HOST:PORT"` of a dispatcher, whose workers make the batches of training; the result is
            the same.
        **fields: The recipe's fields that differ from their defaults.

    Returns:
        The run.

    Raises:
        UsageError: An unknown recipe or field, or a value that the field does not allow.
        RecipeError: The folder is in the way or in use, a file could not be written, training diverged, another worker
            is gone, or an artifact failed its verification (it is then deleted from `exports/`).
        Interrupted: Ctrl-C; says how to go on.
    """
    path = Path(out) if out is not None else default_folder(name)
    console = Console(quiet)
    try:
        if strategy == "multi_worker":
            # What is wrong with the words alone is said before the others are waited for.
            configured(name, fields, preset)
        if data_service is not None:
            from recipes.data_service import reach

            data_service = reach(data_service)
        team = strategies.assemble(strategy, console.say)

        def start() -> RecipeConfig:
            return begin(name, path, fields, resume=resume, overwrite=overwrite, preset=preset)

        with team.watched(), begun(start, path, team, wait=wait) as recipe:
            return _Runner(recipe, RunFolder(path), console, team, data_service).run()
    except KeyboardInterrupt:
        given = {"out": out, "strategy": strategy, "data-service": data_service}
        options = [word for option, value in given.items() if value is not None for word in (f"--{option}", str(value))]
        command = shlex.join(["seqzoo", "run", name, *options, "--resume"])
        raise Interrupted(f"stopped; go on with: {command}") from None


class _Runner:
    """The phases of a run. Each can be done again: it overwrites what a kill may have left of it."""

    def __init__(
        self, recipe: RecipeConfig, folder: RunFolder, console: Console, team: Team, data_service: str | None
    ) -> None:
        self.recipe, self.folder, self.console, self.team = recipe, folder, console, team
        self.data_service = data_service
        self.seconds: dict[str, float] = {}
        # What an earlier process has spent on the run is not known to this one.
        self.resumed = folder.metrics.exists()

    def run(self) -> Run:
        with training.numerics(self.recipe):
            data = self._timed("load data", self.recipe.load_data)
            self.team.check_batch(self.recipe.batch_size, is_stream=isinstance(data.train, Stream))
            done = self._finished()
            if len(set(self.team.told(int(done is not None)))) > 1:
                raise RecipeError(f"the workers see different runs in {self.folder.path}: all must see the same folder")
            model, progress = (load_model(self.folder.model), None) if done else self._train(data)
        if done:
            self.console.say(f"the run in {self.folder.path} is complete")
            return self._result(data, model, done)
        self.team.leave()
        if not self.team.is_chief:
            self.console.say(f"worker {self.team.worker} of {self.team.workers} is done; the chief writes the files")
            return Run(self.folder.path, self.recipe, data, model, {}, {})
        # Here, and nowhere before, the test part is looked at.
        deployments = self.recipe.deployments(model, data)
        verdict = self._timed("judge", lambda: self._judge(deployments[0], data))
        self.console.say("test: " + ", ".join(f"{name} {value:.4f}" for name, value in verdict.metrics.items()))
        exported = self._timed(
            "export", lambda: artifacts.export_all(deployments, data, self.folder.exports, self.console)
        )
        rows = self._timed("measure", lambda: artifacts.measure(self.recipe, data, exported.artifacts))
        write_json(self.folder.exports / artifacts.BENCHMARK, rows)
        results = self._results(data, model, verdict.metrics, rows, exported.failures)
        pages.write(self.recipe, self.folder, data, model, verdict, results, progress)
        # Written last: a folder with results is complete.
        write_json(self.folder.results, results)
        self.console.say(f"report: {self.folder.report}")
        if exported.failures:
            raise RecipeError("; ".join(exported.failures))
        return self._result(data, model, results)

    def _train(self, data: Data) -> tuple[keras.Model, Progress]:
        model = self.recipe.build_model(data)
        if self.team.is_chief:
            self._introduce(data, model)
        progress = self._timed("train", lambda: self._fit(model, data))
        if self.team.is_chief:
            best = progress.rows[progress.best_epoch - 1][progress.monitor]
            self.console.say(f"best epoch {progress.best_epoch} of {progress.epochs}: {progress.monitor} {best:.4f}")
            write_atomically(self.folder.model, lambda partial: _save(model, partial))
        return model, progress

    def _fit(self, model: keras.Model, data: Data) -> Progress:
        recipe, team = self.recipe, self.team
        row = recipe.solve(model, data)
        if row is not None:
            if team.replicas > 1:
                raise UsageError("a model that is fitted in closed form is fitted in one process, without --strategy")
            return training.solve(recipe, row, recipe.objective(), self.folder.path)
        with team.scope():
            objective = recipe.objective()
            trained = self._twin(model, data)
            training.compile_model(trained, recipe, objective, data, team)
        # The others train in silence.
        console = self.console if team.is_chief else Console(quiet=True)
        progress = training.fit(
            recipe,
            trained,
            objective,
            data,
            folder=self.folder.path,
            console=console,
            team=team,
            data_service=self.data_service,
        )
        if isinstance(data.train, Stream):
            bptt.copy_weights(trained, model)
        elif trained is not model:
            model.set_weights(trained.get_weights())
        return progress

    def _twin(self, model: keras.Model, data: Data) -> keras.Model:
        """What is trained: the model itself, unless it must carry states, or each replica have a copy."""
        if isinstance(data.train, Stream):
            return bptt.carrying(model, self.recipe.batch_size // self.team.replicas)
        if self.team.replicas == 1:
            return model
        twin = self.recipe.build_model(data)
        twin.set_weights(model.get_weights())
        return twin

    def _judge(self, deployment: Deployment, data: Data) -> Verdict:
        runtime = judging.keras_predict(deployment.model)
        return self.recipe.judge(judging.outputs_on(self.recipe, runtime, data.test), data.test)

    def _introduce(self, data: Data, model: keras.Model) -> None:
        self.console.say(f"{recipe_name(type(self.recipe))}: {data.summary} ({_sizes(data)})")
        replicas = f", {self.team.replicas} replicas" if self.team.replicas > 1 else ""
        self.console.say(
            f"training {model.count_params():,} weights on {devices.device_name()}{replicas}, {self.recipe.precision}"
        )
        for layer in devices.recurrent_layers(model):
            self.console.say(f"  {layer}")

    def _finished(self) -> dict[str, Any] | None:
        if not (self.folder.results.exists() and self.folder.report.exists() and self.folder.model.exists()):
            return None
        results = read_json(self.folder.results)
        return None if results["failures"] else results

    def _results(
        self,
        data: Data,
        model: keras.Model,
        metrics: dict[str, float],
        rows: list[dict[str, Any]],
        failures: list[str],
    ) -> dict[str, Any]:
        batch_size = self.recipe.batch_size
        return {
            "recipe": recipe_name(type(self.recipe)),
            "metrics": metrics,
            "data": f"{data.summary}; {_sizes(data)}",
            "parameters": model.count_params(),
            "steps_per_epoch": pipelines.steps_per_epoch(data.train, batch_size),
            "padding_share": pipelines.padding_share(data.train, batch_size) if isinstance(data.train, Split) else 0.0,
            "artifacts": rows,
            "failures": failures,
            "resumed": self.resumed,
            "device": devices.device_name(),
            "replicas": self.team.replicas,
            "seconds": {phase: round(spent, 2) for phase, spent in self.seconds.items()},
        }

    def _result(self, data: Data, model: keras.Model, results: dict[str, Any]) -> Run:
        return Run(self.folder.path, self.recipe, data, model, dict(results["metrics"]), results)

    def _timed(self, phase: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        done = work()
        self.seconds[phase] = time.perf_counter() - start
        return done


def _sizes(data: Data) -> str:
    return ", ".join(f"{getattr(data, part).size:,} {part}" for part in ("train", "validation", "test"))


def _save(model: keras.Model, path: Path) -> None:
    try:
        model.save(path)
    except OSError:
        raise
    except Exception as error:  # h5py and zipfile report a full disk with errors of their own
        raise RecipeError(f"cannot write the model: {first_line(error)}") from error
