"""Steps of training and of evaluation, the same for one device, several, and several machines.

Keras's `Model.fit` can't be used: under `MultiWorkerMirroredStrategy` Keras 3.15 fails while it builds the model from
the first batch; it also clips each replica's gradient before the replicas add theirs up, and averages the replicas'
means. A model's own `call`, `compute_loss` and `compute_metrics` count here; a `train_step` of its own does not.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from recipes import global_loss
from recipes.errors import RecipeError, UsageError
from recipes.global_loss import Share
from recipes.interruption import Stop
from recipes.strategies import Team


class FitLoop:
    """Trains and evaluates a compiled model, a step at a time.

    Attributes:
        tracker: Keras's mean of the loss.
    """

    def __init__(self, model: keras.Model, loss: Any, team: Team, stop: Stop, *, xla: bool = False) -> None:
        """Prepares the steps; the first of each kind is traced.

        Args:
            model: Compiled, made in the team's scope.
            loss: That of the objective.
            team: The replicas.
            stop: Is asked after each step; set where another worker was asked.
            xla: Compile the training step with XLA.

        Raises:
            RecipeError: The model has a `train_step` of its own.
            UsageError: XLA is asked for, and several replicas.
        """
        if xla and team.replicas > 1:
            raise UsageError(f"xla compiles the step of one device, not of {team.replicas} replicas: leave one out")
        if type(model).train_step is not keras.Model.train_step:
            raise RecipeError(f"{type(model).__name__} has a train_step of its own; override compute_loss instead")
        self.model, self.team, self.stop = model, team, stop
        # A model that computes its own loss has none that could be taken apart.
        self.loss = loss if type(model).compute_loss is keras.Model.compute_loss else None
        self.tracker = next(metric for metric in model.metrics if metric.name == "loss")
        # Evaluation is a part of the time, and comes in more shapes than are worth compiling.
        train_step = tf.function(self._train_step, jit_compile=True) if xla else self._train_step
        self._train = tf.function(self._on_each(train_step), reduce_retracing=True)
        self._test = tf.function(self._on_each(self._test_step), reduce_retracing=True)

    def train(self, batches: Iterator[Any], steps: range, advance: Callable[[], None]) -> int:
        """Trains on some batches, until SIGTERM.

        Args:
            batches: An iterator of a `tf.data.Dataset`, or of the team's.
            steps: Which steps of the epoch.
            advance: Is called after each.

        Returns:
            How many steps of the epoch are done.
        """
        return self._go(self._train, batches, steps, advance)

    def evaluate(self, batches: Iterator[Any], steps: int) -> bool:
        """Evaluates, until SIGTERM.

        Args:
            batches: As `train` takes them.
            steps: How many.

        Returns:
            Whether it came to the end.
        """
        return self._go(self._test, batches, range(steps), lambda: None) == steps

    def results(self) -> dict[str, float]:
        """The metrics since they were reset, of all replicas together, by name in alphabetical order."""
        return {name: float(value) for name, value in sorted(self.model.get_metrics_result().items())}

    def _go(self, step: Any, batches: Iterator[Any], steps: range, advance: Callable[[], None]) -> int:
        votes = None
        for done in steps:
            # All workers hear of a stop in the same step; a step later, so that none waits for the number.
            heard = self.stop.asked if self.team.workers == 1 else votes is not None and float(votes) > 0
            if heard:
                self.stop.asked = True
                return done
            votes = step(batches, tf.constant(float(self.stop.asked)))
            advance()
        return steps.stop

    def _on_each(self, step: Callable[[Any, Any], Any]) -> Callable[[Iterator[Any], Any], Any]:
        # A closure, since the iterator belongs to no replica.
        @tf.autograph.experimental.do_not_convert
        def run(batches: Iterator[Any], vote: Any) -> Any:
            return self.team.run(step, next(batches), vote)

        return run

    def _train_step(self, batch: Any, vote: Any) -> Any:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            loss, share, outputs, counts = self._forward(batch, vote, training=True)
            scaled = self.model.optimizer.scale_loss(loss)
        # Summed before the optimizer clips them: the norm is that of the whole batch's gradient.
        gradients = self.team.sum(tape.gradient(scaled, variables))
        self.model.optimizer.apply(gradients, variables)
        return self._measure(loss, share, outputs, counts)

    def _test_step(self, batch: Any, vote: Any) -> Any:
        loss, share, outputs, counts = self._forward(batch, vote, training=False)
        return self._measure(loss, share, outputs, counts)

    def _forward(self, batch: Any, vote: Any, *, training: bool) -> tuple[Any, Share, Any, tuple[Any, Any]]:
        """The loss, this replica's part of it; what it was computed from; examples and votes of the whole batch."""
        batch, real = (batch, None) if self.team.strategy is None else batch
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
        outputs = self.model(inputs, training=training)
        share = Share(inputs, targets, weights, real)
        if real is None:
            loss = self.model.compute_loss(
                x=inputs, y=targets, y_pred=outputs, sample_weight=weights, training=training
            )
            return loss, share, outputs, (tf.shape(keras.tree.flatten(inputs)[0])[0], vote)
        parts = global_loss.parts(self.model, self.loss, share, outputs, training=training)
        loss, rows, votes = parts.shared(self.team, vote)
        return loss, share, outputs, (rows, votes)

    def _measure(self, loss: Any, share: Share, outputs: Any, counts: tuple[Any, Any]) -> Any:
        rows, votes = counts
        replicas = self.team.replicas
        if replicas == 1:
            weights = share.weights
            self.tracker.update_state(loss, sample_weight=rows)
        else:
            weights = share.weights_for(outputs)
            # The replicas' parts add up to the loss of all rows, so each of them counts for an equal number of rows.
            self.tracker.update_state(loss * replicas, sample_weight=rows / replicas)
        self.model.compute_metrics(share.inputs, share.targets, outputs, sample_weight=weights)
        return votes
