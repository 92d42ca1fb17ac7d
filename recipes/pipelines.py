"""tf.data steps that recipes share."""

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from recipes.recipe import Data, Split

if TYPE_CHECKING:
    import keras


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Counts the batches of an epoch, the last one perhaps smaller."""
    return -(-len(split) // batch_size)


def training_stream(data: Data, model: "keras.Model", *, batch_size: int, seed: int, first: int, epochs: int) -> Any:
    """Streams the training part epoch after epoch, shuffled and augmented.

    Order and augmentation are a function of (seed, epoch, step) and of nothing else, so that a resumed run sees in
    epoch k what an undisturbed one sees there. Stateful shuffling could not be taken up in the middle.

    Args:
        data: Its `train` part, changed by its `augment`.
        model: Whose inputs are fed.
        batch_size: Examples in a batch.
        seed: The run's seed.
        first: Index of the first epoch to stream.
        epochs: Index after the last.

    Returns:
        A dataset of (inputs, targets), `steps_per_epoch` of them for each epoch.
    """
    inputs = {name: tf.constant(array) for name, array in data.train.inputs.items()}
    targets = tf.constant(data.train.targets)
    fold_in = tf.random.experimental.stateless_fold_in

    def batch(key: Any, step: Any, rows: Any) -> Any:
        # (examples, ...) -> (batch, ...)
        chosen = {name: tf.gather(array, rows) for name, array in inputs.items()}
        if data.augment is not None:
            chosen = data.augment(chosen, fold_in(key, step))
        return feed(model, chosen), tf.gather(targets, rows)

    def epoch(number: Any) -> Any:
        key = fold_in(tf.constant([seed, 0], tf.int64), number)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(data.train)), seed=key)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.enumerate(1).map(lambda step, rows: batch(key, step, rows))

    return tf.data.Dataset.range(first, epochs).flat_map(epoch).prefetch(tf.data.AUTOTUNE)


def evaluation_stream(split: Split, model: "keras.Model", *, batch_size: int = 512) -> Any:
    """Streams a part of the data once, in its own order.

    Args:
        split: The part.
        model: Whose inputs are fed.
        batch_size: Examples in a batch.

    Returns:
        A dataset of (inputs, targets).
    """
    return (
        tf.data.Dataset.from_tensor_slices((feed(model, dict(split.inputs)), split.targets)).batch(batch_size).cache()
    )


def feed(model: "keras.Model", inputs: dict[str, Any]) -> Any:
    """Gives a model its inputs in the structure that it was built with.

    Args:
        model: A functional model.
        inputs: Input name -> tensor.

    Returns:
        The tensor itself where the model has one input (Keras warns about a dictionary there), else the dictionary.
    """
    return inputs[model.inputs[0].name] if len(model.inputs) == 1 else inputs
