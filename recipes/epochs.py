"""Epoch after epoch, each of them on the disk: what happens between the steps of training."""

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from recipes import bptt, pipelines
from recipes.checkpoints import Checkpoints, Middle, Progress, Row
from recipes.console import Bar, Console
from recipes.data import Data, Stream
from recipes.errors import RecipeError
from recipes.files import write_text
from recipes.fit_loop import FitLoop
from recipes.interruption import Stop
from recipes.portions import Portion
from recipes.recipe import Objective, RecipeConfig
from recipes.strategies import Team

EVALUATION_BATCH = 256


def refuse_divergence(recipe: RecipeConfig, row: Row, epoch: int) -> None:
    """Ends training that leads nowhere.

    Args:
        recipe: What is trained, for the message.
        row: The epoch's metrics.
        epoch: Which one, from 1.

    Raises:
        RecipeError: A loss is no number.
    """
    if not all(math.isfinite(row[name]) for name in ("loss", "val_loss")):
        raise RecipeError(
            f"the loss is {row['loss']} in epoch {epoch}: training diverged; "
            f"lower learning_rate ({recipe.learning_rate:g}) or set clip_norm"
        )


def write_metrics(path: Path, rows: tuple[Row, ...]) -> None:
    """Writes `metrics.csv`.

    Args:
        path: The file.
        rows: One for each epoch, all with the same columns.

    Raises:
        RecipeError: It could not be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


class Epochs:
    """A training: train, validate, row, checkpoint, `metrics.csv`, progress bar; until it gets no better.

    Attributes:
        checkpoints: The folder's.
        progress: The epochs that are done.
    """

    def __init__(
        self,
        recipe: RecipeConfig,
        model: keras.Model,
        objective: Objective,
        data: Data,
        folder: Path,
        console: Console,
        team: Team,
        stop: Stop,
        data_service: str | None,
    ) -> None:
        """Reads the checkpoint; the arguments are those of `training.fit`, and what SIGTERM is noted in."""
        self.recipe, self.model, self.data, self.console, self.team = recipe, model, data, console, team
        self.checkpoints, self.csv = Checkpoints(folder / "checkpoints"), folder / "metrics.csv"
        self.data_service = data_service
        self.loop = FitLoop(model, objective.loss, team, stop, xla=recipe.xla)
        metrics = [metric for metric in objective.metrics if isinstance(metric, keras.metrics.Metric)]
        self.counters = [variable for metric in (self.loop.tracker, *metrics) for variable in metric.variables]
        self.steps = pipelines.steps_per_epoch(data.train, recipe.batch_size)
        rows, self.middle = self.checkpoints.load(model)
        self.progress = Progress(rows, objective.monitor, objective.mode)

    def run(self) -> bool:
        """Trains from where the checkpoint stands.

        Returns:
            False where SIGTERM has ended it.

        Raises:
            RecipeError: The loss is no number any more, a file could not be written, or workers see different files.
        """
        done = self.middle.step if self.middle else 0
        if len(set(self.team.told(self.progress.epochs * self.steps + done))) > 1:
            raise RecipeError("the workers have read different checkpoints: give all of them a folder that all see")
        if self.progress.rows:
            self._write_metrics()
        if self.progress.rows or done:
            at = f", step {done} of {self.steps}" if done else ""
            self.console.say(f"going on after epoch {self.progress.epochs} of {self.recipe.epochs}{at}")
        if self._is_over():
            return True
        before = self.progress.epochs * self.steps + done
        with self.console.progress(total=self.recipe.epochs * self.steps, done=before) as bar:
            batches = self._training_batches(done)
            validation, steps = self._validation_batches()
            while not self._is_over():
                if not self._epoch(batches, validation, steps, bar):
                    return False
        return True

    def _is_over(self) -> bool:
        return self.progress.epochs >= self.recipe.epochs or self.progress.is_stalled(self.recipe.patience)

    def _epoch(self, batches: Any, validation: Callable[[], Any], validation_steps: int, bar: Bar) -> bool:
        """Trains and validates; False where SIGTERM came in between, with the state saved."""
        middle, self.middle = self.middle, None
        row = middle.row if middle else None
        if row is None:
            self._begin(middle)
            done = self.loop.train(batches, range(middle.step if middle else 0, self.steps), bar.advance)
            if done < self.steps:
                return self._save_middle(done, None)
            row = self.loop.results()
        self._begin(None)
        if not self.loop.evaluate(validation(), validation_steps):
            return self._save_middle(self.steps, row)
        self._end_epoch(row | {f"val_{name}": value for name, value in self.loop.results().items()}, bar)
        return True

    def _begin(self, middle: Middle | None) -> None:
        """Counts from the start, and reads a text from the start; or goes on with both."""
        self.model.reset_metrics()
        bptt.forget(self.model)
        if middle:
            for counter, value in zip(self.counters, middle.metrics, strict=True):
                counter.assign(value)
            self.team.scatter(bptt.carried(self.model), middle.carried)

    def _save_middle(self, step: int, row: Row | None) -> bool:
        # Read by all workers together; a metric's sum is spread over them.
        counts = [keras.ops.convert_to_numpy(counter) for counter in self.counters] if row is None else []
        carried = self.team.gathered(bptt.carried(self.model)) if row is None else []
        if self.team.is_chief:
            self.checkpoints.save_middle(self.model, self.progress, Middle(step, row, counts, carried))
        return False

    def _end_epoch(self, values: Row, bar: Bar) -> None:
        epoch = self.progress.epochs + 1
        row = {"epoch": epoch} | values
        refuse_divergence(self.recipe, row, epoch)
        self.progress = dataclasses.replace(self.progress, rows=(*self.progress.rows, row))
        # The checkpoint is the truth; a kill before the next line is mended by the resumed run.
        if self.team.is_chief:
            self.checkpoints.save(self.model, self.progress)
        self._write_metrics()
        bar.epoch(epoch, self.recipe.epochs, row)

    def _write_metrics(self) -> None:
        if self.team.is_chief:
            write_metrics(self.csv, self.progress.rows)

    def _portion(self) -> Portion | None:
        team = self.team
        return None if team.strategy is None else Portion(team.replicas, team.worker * team.here, team.here)

    def _training_batches(self, skip: int) -> Any:
        def served(positions: range) -> Iterator[Any]:
            from recipes.data_service import served_batches

            yield from served_batches(self.recipe, self.data, positions, str(self.data_service), self.console.say)

        stream = pipelines.training_stream(
            self.data,
            self.model,
            batch_size=self.recipe.batch_size,
            seed=self.recipe.seed,
            first=self.progress.epochs,
            epochs=self.recipe.epochs,
            skip=skip,
            portion=self._portion(),
            made=served if self.data_service else None,
        )
        return iter(self.team.dataset(stream))

    def _validation_batches(self) -> tuple[Callable[[], Any], int]:
        part, size = self.data.validation, self.recipe.batch_size
        # Carried states have a place for each row of the training batch.
        rows = size if isinstance(self.data.train, Stream) else max(size, EVALUATION_BATCH)
        stream = pipelines.evaluation_stream(part, self.model, batch_size=rows, portion=self._portion())
        batches = self.team.dataset(stream)
        if self.team.strategy is None:
            return lambda: iter(batches), pipelines.steps_per_epoch(part, rows)
        # One iterator for good: the endless stream begins again after the part's last batch.
        endless = iter(batches)
        return lambda: endless, pipelines.steps_per_epoch(part, rows)
