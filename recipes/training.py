"""Training: every recipe is trained here, on one device, several, or several machines."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from recipes import devices, pipelines
from recipes.checkpoints import Progress, Row
from recipes.console import Console
from recipes.data import Data
from recipes.epochs import Epochs, refuse_divergence, write_metrics
from recipes.interruption import noting_sigterm
from recipes.recipe import Objective, RecipeConfig
from recipes.strategies import ALONE, Team


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


class AdamOfSums(keras.optimizers.Adam):
    """Adam for gradients that are summed over the replicas already: Keras's clips before it sums them."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        return list(grads_and_vars)


def make_optimizer(recipe: RecipeConfig, steps: int, team: Team = ALONE) -> keras.optimizers.Optimizer:
    """Makes Adam with the recipe's schedule and clipping.

    Args:
        recipe: Gives the rates and the bounds.
        steps: Number of steps of the whole training, over which the learning rate falls.
        team: The replicas that train together.

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
    kind = keras.optimizers.Adam if team.replicas == 1 else AdamOfSums
    return kind(schedules[recipe.schedule](), global_clipnorm=recipe.clip_norm, clipvalue=recipe.clip_value)


def compile_model(
    model: keras.Model, recipe: RecipeConfig, objective: Objective, data: Data, team: Team = ALONE
) -> None:
    """Readies a model for training.

    Args:
        model: Untrained; made in the team's scope, as the objective.
        recipe: Gives the optimizer's settings.
        objective: Loss and metrics.
        data: Its size gives the number of steps.
        team: The replicas that train together.
    """
    steps = recipe.epochs * pipelines.steps_per_epoch(data.train, recipe.batch_size)
    model.compile(
        make_optimizer(recipe, steps, team),
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
    team: Team = ALONE,
    data_service: str | None = None,
) -> Progress:
    """Trains a model, from where the folder's checkpoint stands where it holds one, and leaves it at its best epoch.

    SIGTERM is obeyed after the step: all is saved, and the signal given to whoever handled it before.

    Args:
        recipe: The settings of training.
        model: Compiled by `compile_model`; ends with the weights of its best epoch.
        objective: Says which epoch is the best.
        data: What to train on and to choose the epoch by.
        folder: The run's folder, with `checkpoints/`.
        console: Shows the progress.
        team: The replicas that train together; its chief writes into the folder.
        data_service: HOST:PORT of a dispatcher whose workers make the batches; they are made here if None.

    Returns:
        The metrics of every epoch.

    Raises:
        RecipeError: The loss is no number any more, a file could not be written, or another worker is gone.
    """
    with team.at_work(), noting_sigterm() as stop:
        epochs = Epochs(recipe, model, objective, data, folder, console, team, stop, data_service)
        if epochs.run():
            # The chief has written it by now.
            team.told(0)
            epochs.checkpoints.load_best(model, epochs.progress)
        return epochs.progress


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
    refuse_divergence(recipe, row, 1)
    rows = ({"epoch": 1} | row,)
    write_metrics(folder / "metrics.csv", rows)
    return Progress(rows, objective.monitor, objective.mode)
