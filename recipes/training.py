"""The one fit loop: every recipe is trained here."""

import contextlib
import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from recipes import devices, pipelines
from recipes.bptt import ForgetBetweenTexts
from recipes.checkpoints import Checkpoints, Progress, Row
from recipes.console import Console
from recipes.data import Data, Stream
from recipes.errors import RecipeError
from recipes.files import write_text
from recipes.recipe import Objective, RecipeConfig

EVALUATION_BATCH = 256


@contextlib.contextmanager
def numerics(recipe: RecipeConfig) -> Iterator[None]:
    """Sets seeds and the type of the arithmetic, and puts the latter back.

    On a CPU a run then repeats exactly; TensorFlow keeps its ops deterministic for the rest of the process, there is
    no way back. On a GPU that would cost cuDNN's fast kernels, so there a seed makes runs similar, not equal.

    Args:
        recipe: Gives `seed` and `precision`.
    """
    if not devices.has_gpu():
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(recipe.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_optimizer(recipe: RecipeConfig, steps: int) -> keras.optimizers.Optimizer:
    """Makes Adam with the recipe's schedule and clipping.

    Args:
        recipe: Gives the rates and the bounds.
        steps: Number of steps of the whole training, over which the learning rate falls.

    Returns:
        An optimizer.
    """
    start, end = recipe.learning_rate, recipe.final_learning_rate
    schedules = {
        "constant": lambda: start,
        "cosine": lambda: keras.optimizers.schedules.CosineDecay(start, steps, alpha=end),
        # A rate of exactly zero has no exponential on the way to it: the smallest share that float32 tells from none.
        "exponential": lambda: keras.optimizers.schedules.ExponentialDecay(start, steps, max(end, 1e-7)),
    }
    return keras.optimizers.Adam(
        schedules[recipe.schedule](), global_clipnorm=recipe.clip_norm, clipvalue=recipe.clip_value
    )


def compile_model(model: keras.Model, recipe: RecipeConfig, objective: Objective, data: Data) -> None:
    """Readies a model for training.

    Args:
        model: Untrained.
        recipe: Gives the optimizer's settings.
        objective: Loss and metrics.
        data: Its size gives the number of steps.
    """
    steps = recipe.epochs * pipelines.steps_per_epoch(data.train, recipe.batch_size)
    model.compile(
        make_optimizer(recipe, steps),
        loss=objective.loss,
        weighted_metrics=list(objective.metrics),
        # XLA can't hold cuDNN's kernels: jit would trade them for a loop over the steps.
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)


def fit(
    recipe: RecipeConfig,
    model: keras.Model,
    objective: Objective,
    data: Data,
    *,
    folder: Path,
    console: Console,
) -> Progress:
    """Trains a model, from the last complete epoch on where the folder holds one, and leaves it at its best epoch.

    Args:
        recipe: The settings of training.
        model: Compiled by `compile_model`; ends with the weights of its best epoch.
        objective: Says which epoch is the best.
        data: What to train on and to choose the epoch by.
        folder: The run's folder, with `checkpoints/`.
        console: Shows the progress.

    Returns:
        The metrics of every epoch.

    Raises:
        RecipeError: The loss is no number any more, or a file could not be written.
    """
    checkpoints = Checkpoints(folder / "checkpoints")
    progress = Progress(checkpoints.load(model), objective.monitor, objective.mode)
    keeper = _Keeper(recipe, checkpoints, folder / "metrics.csv", progress, console)
    if progress.rows:
        write_metrics(keeper.csv, progress.rows)
        console.say(f"going on after epoch {progress.epochs} of {recipe.epochs}")
    if progress.epochs < recipe.epochs and not progress.is_stalled(recipe.patience):
        steps = pipelines.steps_per_epoch(data.train, recipe.batch_size)
        is_stream = isinstance(data.train, Stream)
        # Carried states have a place for each row of the training batch.
        rows = recipe.batch_size if is_stream else max(recipe.batch_size, EVALUATION_BATCH)
        stream = pipelines.training_stream(
            data,
            model,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            first=progress.epochs,
            epochs=recipe.epochs,
        )
        with console.progress(total=recipe.epochs * steps, done=progress.epochs * steps) as keeper.bar:
            model.fit(
                stream,
                epochs=recipe.epochs,
                initial_epoch=progress.epochs,
                steps_per_epoch=steps,
                validation_data=pipelines.evaluation_stream(data.validation, model, batch_size=rows),
                callbacks=[keeper, *([ForgetBetweenTexts()] if is_stream else [])],
                shuffle=False,  # the stream is shuffled already; Keras warns where it is left to guess
                verbose=0,
            )
    checkpoints.load_best(model, keeper.state)
    return keeper.state


def solve(recipe: RecipeConfig, row: Row, objective: Objective, folder: Path) -> Progress:
    """Records a fit in closed form as training of one epoch.

    Args:
        recipe: What was fitted, for the message.
        row: `loss`, `val_loss` and the objective's metrics.
        objective: Says which column counts.
        folder: The run's folder.

    Returns:
        The metrics of the one epoch.

    Raises:
        RecipeError: The loss is no number, or `metrics.csv` could not be written.
    """
    _refuse_divergence(recipe, row, 1)
    rows = ({"epoch": 1} | row,)
    write_metrics(folder / "metrics.csv", rows)
    return Progress(rows, objective.monitor, objective.mode)


def _refuse_divergence(recipe: RecipeConfig, row: Row, epoch: int) -> None:
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


class _Keeper(keras.callbacks.Callback):
    """After each epoch: row, checkpoint, `metrics.csv`, progress bar; stops training that gets no better."""

    def __init__(
        self, recipe: RecipeConfig, checkpoints: Checkpoints, csv: Path, progress: Progress, console: Console
    ) -> None:
        super().__init__()
        self.recipe, self.checkpoints, self.csv, self.state = recipe, checkpoints, csv, progress
        self.console, self.bar = console, None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.bar.advance()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row = {"epoch": epoch + 1} | {name: float(value) for name, value in (logs or {}).items()}
        _refuse_divergence(self.recipe, row, epoch + 1)
        self.state = Progress((*self.state.rows, row), self.state.monitor, self.state.mode)
        # The checkpoint is the truth; a kill before the next line is mended by the resumed run.
        self.checkpoints.save(self.model, self.state)
        write_metrics(self.csv, self.state.rows)
        self.bar.epoch(epoch + 1, self.recipe.epochs, row)
        if self.state.is_stalled(self.recipe.patience):
            self.model.stop_training = True
