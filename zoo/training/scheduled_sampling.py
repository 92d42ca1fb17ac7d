"""Scheduled sampling: a decoder in training reads its own words more and more often (Bengio et al. 2015)."""

import math
from collections.abc import Callable
from typing import Any, Literal

import keras
from keras import ops

from zoo.decoding import draw_token, where_row
from zoo.randomness import uniform
from zoo.stepping import Stepper
from zoo.tokens import IMPOSSIBLE, filled

Schedule = Callable[[int], float]
"""Epoch or step, from 0 -> epsilon, the probability that the decoder reads the true token."""


def linear_decay(slope: float, *, start: float = 1.0, least: float = 0.0) -> Schedule:
    """Falls by the same amount each time: epsilon_i = max(least, start - slope i).

    Args:
        slope: By how much it falls, at least 0.
        start: epsilon_0.
        least: What it doesn't fall below.

    Returns:
        The schedule. arXiv:1506.03099, section 2.4.

    Raises:
        ValueError: A number is out of range.
    """
    if not (slope >= 0 and 0 <= least <= start <= 1):
        raise ValueError(
            f"linear decay needs slope >= 0 and 0 <= least <= start <= 1, got slope={slope}, {least=}, {start=}"
        )
    return lambda i: max(least, start - slope * i)


def exponential_decay(k: float) -> Schedule:
    """Falls by the same share each time: epsilon_i = k^i.

    Args:
        k: What is left each time, more than 0 and less than 1.

    Returns:
        The schedule. arXiv:1506.03099, section 2.4.

    Raises:
        ValueError: k is out of range.
    """
    if not 0 < k < 1:
        raise ValueError(f"exponential decay needs k between 0 and 1, got {k}")
    return lambda i: k**i


def inverse_sigmoid_decay(k: float) -> Schedule:
    """Stays high, then falls, then stays low: epsilon_i = k / (k + exp(i / k)).

    Args:
        k: How long it stays, at least 1; epsilon is a half at i = k log k.

    Returns:
        The schedule. arXiv:1506.03099, section 2.4.

    Raises:
        ValueError: k is out of range.
    """
    if k < 1:
        raise ValueError(f"inverse sigmoid decay needs k of at least 1, got {k}")
    # As a function of exp(-i / k), which can't overflow.
    return lambda i: k * math.exp(-i / k) / (k * math.exp(-i / k) + 1)


@keras.saving.register_keras_serializable(package="seqzoo")
class ScheduledSampling(keras.Model):  # type: ignore[misc]  # keras ships no types
    """Trains a model on a mixture of true tokens and tokens that it drew itself.

    In training, before the model reads its tokens, each but the first is replaced with probability
    `sampling_probability` by one drawn from the model's own distribution, given the mixture up to there. The model then
    reads the mixture in one pass, in its fastest form. Loss and gradient are those of a decoder that is fed step by
    step: a drawn token has no derivative. Tokens are drawn without dropout. Outside of training the model is itself.

        trainer = ScheduledSampling(model, seed=0)
        trainer.compile("adam", loss)
        trainer.fit(inputs, labels, callbacks=[SamplingSchedule(inverse_sigmoid_decay(10))])
        model.save("model.keras")

    Attributes:
        model: The model, trained in place.
        sampling_probability: A variable that no optimizer moves, 1 - epsilon; starts at 0, teacher forcing.
    """

    def __init__(self, model: keras.Model, seed: int | None = None, **options: Any) -> None:
        """Makes the trainer.

        Args:
            model: A model with an input for tokens, see `zoo.decoding.Stepper`.
            seed: Of what is drawn.
            **options: Further arguments of `keras.Model`.
        """
        super().__init__(**options)
        self.model = model
        self.seed = seed
        self.stepper = Stepper(model)
        self.draws = keras.random.SeedGenerator(seed)
        self.sampling_probability = self.add_weight(
            shape=(), name="sampling_probability", initializer="zeros", trainable=False, dtype="float32"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Runs the model, in training on a mixture."""
        if training:
            named = inputs if isinstance(inputs, dict) else {self.stepper.token_input: inputs}
            mixed = {**named, self.stepper.token_input: self.mix(named)}
            inputs = mixed if isinstance(inputs, dict) else mixed[self.stepper.token_input]
        return self.model(inputs, training=training)

    def mix(self, inputs: dict[str, Any]) -> Any:
        """Replaces some of the tokens by the model's own.

        Args:
            inputs: The model's inputs by name.

        Returns:
            The tokens that the model is to read, (batch, time) int32.
        """
        others = {name: value for name, value in inputs.items() if name != self.stepper.token_input}
        true = ops.cast(inputs[self.stepper.token_input], "int32")
        shape = ops.shape(true)
        chance = keras.random.uniform(shape, seed=self.draws)
        places = ops.cumsum(ops.ones_like(true), axis=1) - 1
        own = ops.logical_and(chance < self.sampling_probability, ops.logical_and(true != 0, places > 0))
        seeds = keras.random.randint((shape[0],), 0, 2**31 - 1, seed=self.draws)

        def at(values: Any, t: Any) -> Any:
            return ops.sum(ops.where(places == t, values, ops.zeros_like(values)), axis=1)

        def body(t: Any, token: Any, states: Any, mixed: Any) -> tuple[Any, ...]:
            logits, after = self.stepper(token, states)
            # What the recurrent layers do at padding: nothing.
            after = keras.tree.map_structure(lambda new, old: where_row(token != 0, new, old), after, states)
            logits = ops.cast(logits, "float32")
            drawn = draw_token(logits + IMPOSSIBLE * filled(logits, 0), uniform(seeds, t))
            token = ops.where(at(ops.cast(own, "int32"), t + 1) > 0, drawn, at(true, t + 1))
            return t + 1, token, after, ops.where(places == t + 1, token[:, None], mixed)

        # The loop ends with the last token to be drawn: there is none under teacher forcing.
        last = ops.max(ops.where(own, places, ops.zeros_like(places)))
        first = (ops.zeros_like(last), true[:, 0], self.stepper.start(others, batch_size=shape[0]), true)
        return ops.stop_gradient(ops.while_loop(lambda t, *_: t < last, body, first)[-1])

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments, the model among them."""
        return {"model": keras.saving.serialize_keras_object(self.model), "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ScheduledSampling":
        """Makes a trainer of what `get_config` gave."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})


class SamplingSchedule(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Sets the `sampling_probability` of the model in training to 1 - epsilon, by a schedule.

    It serves any model that has such a variable. The logs of each epoch carry its value.
    """

    def __init__(self, schedule: Schedule, *, by: Literal["epoch", "batch"] = "epoch") -> None:
        """Makes the callback.

        Args:
            schedule: From the number of the epoch, or of the batch since training began, to epsilon.
            by: Whether i counts epochs or batches.

        Raises:
            ValueError: `by` is neither.
        """
        super().__init__()
        if by not in ("epoch", "batch"):
            raise ValueError(f"by must be 'epoch' or 'batch', got {by!r}")
        self.schedule = schedule
        self.by = by
        self._batches = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks that there is something to set."""
        if not hasattr(self.model, "sampling_probability"):
            raise ValueError(f"{self.model.name} has no sampling_probability: train it as ScheduledSampling(model)")
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Sets the probability for the epoch."""
        if self.by == "epoch":
            self._set(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the probability for the batch."""
        if self.by == "batch":
            self._set(self._batches)
            self._batches += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Reports the probability."""
        if logs is not None:
            logs["sampling_probability"] = float(ops.convert_to_numpy(self.model.sampling_probability))

    def _set(self, i: int) -> None:
        if hasattr(self.model, "jax_state_sync"):
            # With JAX the variables are elsewhere during an epoch: brought back here, they are read again afterwards.
            self.model.jax_state_sync()
        self.model.sampling_probability.assign(1.0 - self.schedule(i))
