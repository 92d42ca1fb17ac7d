"""tf.data steps that recipes share: order, buckets of like length, windows of a stream."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from recipes.data import Batch, Data, Split, Stream

if TYPE_CHECKING:
    import keras

POOL = 50
"""Batches' worth of examples among which those of like length are brought together."""


def steps_per_epoch(part: Split | Stream, batch_size: int) -> int:
    """Counts the batches of an epoch, the last one perhaps smaller."""
    return part.windows(batch_size) if isinstance(part, Stream) else -(-len(part) // batch_size)


def training_stream(data: Data, model: "keras.Model", *, batch_size: int, seed: int, first: int, epochs: int) -> Any:
    """Streams the training part epoch after epoch, shuffled, in batches of like length, and augmented.

    Order and augmentation are a function of (seed, epoch, step) and of nothing else, so that a resumed run sees in
    epoch k what an undisturbed one sees there. Stateful shuffling could not be taken up in the middle.

    Args:
        data: Its `train` part, changed by its `augment`.
        model: Whose inputs are fed.
        batch_size: Examples in a batch; of a stream, places that are read side by side.
        seed: The run's seed.
        first: Index of the first epoch to stream.
        epochs: Index after the last.

    Returns:
        A dataset of (inputs, targets) or (inputs, targets, weights), `steps_per_epoch` of them for each epoch.
    """
    part = data.train
    steps = steps_per_epoch(part, batch_size)

    def batches() -> Iterator[Batch]:
        for epoch in range(first, epochs):
            yield from epoch_batches(part, batch_size, np.random.default_rng([seed, epoch]))

    stream = _dataset(batches, part, (epochs - first) * steps)
    if data.augment is not None:
        stream = stream.enumerate(first * steps).map(_augmenter(data.augment, seed))
    return stream.map(_feeder(model)).prefetch(tf.data.AUTOTUNE)


def evaluation_stream(part: Split | Stream, model: "keras.Model", *, batch_size: int) -> Any:
    """Streams a part of the data once, in an order of its own.

    Args:
        part: The part.
        model: Whose inputs are fed.
        batch_size: Examples in a batch; of a stream, places that are read side by side.

    Returns:
        A dataset of (inputs, targets) or (inputs, targets, weights), prepared once and kept.
    """
    steps = steps_per_epoch(part, batch_size)
    return _dataset(lambda: epoch_batches(part, batch_size, None), part, steps).map(_feeder(model)).cache()


def epoch_batches(part: Split | Stream, batch_size: int, random: np.random.Generator | None) -> Iterator[Batch]:
    """Makes the batches of one epoch.

    Args:
        part: The part of the data.
        batch_size: Examples in a batch.
        random: Shuffles; without it examples come by length.

    Yields:
        Each batch. A stream's come in its own order.
    """
    if isinstance(part, Stream):
        for index in range(part.windows(batch_size)):
            yield part.batch(index, batch_size)
    else:
        for rows in batch_rows(part, batch_size, random):
            yield part.batch(rows)


def batch_rows(split: Split, batch_size: int, random: np.random.Generator | None) -> list[np.ndarray]:
    """Chooses which examples share a batch: those of like length, so that little is padding.

    Args:
        split: The part of the data.
        batch_size: Examples in a batch.
        random: Shuffles the examples, brings together like lengths within each pool of `POOL` batches, and shuffles
            the batches. Without it the whole part is sorted by length.

    Returns:
        Indices, one array a batch: every example once.
    """
    lengths = split.lengths
    order = np.arange(len(split)) if random is None else random.permutation(len(split))
    if lengths is not None:
        pool = np.arange(len(split)) // (POOL * batch_size) if random is not None else np.zeros(len(split))
        order = order[np.lexsort((lengths[order], pool))]
    rows = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    return rows if random is None or lengths is None else [rows[index] for index in random.permutation(len(rows))]


def padding_share(split: Split, batch_size: int, seed: int = 0) -> float:
    """Measures how much of an epoch's inputs is padding.

    Args:
        split: The part of the data.
        batch_size: Examples in a batch.
        seed: Of the order.

    Returns:
        Padded steps over all steps, over all inputs whose lengths differ; 0 where none do.
    """
    from recipes.data import Ragged

    ragged = [column for column in split.inputs.values() if isinstance(column, Ragged)]
    rows = batch_rows(split, batch_size, np.random.default_rng([seed, 0]))
    held = sum(len(batch) * max(1, column.lengths[batch].max()) for column in ragged for batch in rows)
    used = sum(int(column.lengths.sum()) for column in ragged)
    return 1 - used / held if held else 0.0


def feed(model: "keras.Model", inputs: dict[str, Any]) -> Any:
    """Gives a model its inputs in the structure that it was built with.

    Args:
        model: A functional model.
        inputs: Input name -> tensor.

    Returns:
        The tensor itself where the model has one input (Keras warns about a dictionary there), else the dictionary.
    """
    names = [tensor.name for tensor in model.inputs]
    return inputs[names[0]] if len(names) == 1 else {name: inputs[name] for name in names}


def _dataset(batches: Callable[[], Iterator[Batch]], part: Split | Stream, steps: int) -> Any:
    example = part.batch(0, 1) if isinstance(part, Stream) else part.batch(np.arange(1))
    ragged = isinstance(part, Stream) or part.lengths is not None

    def spec(array: np.ndarray) -> tf.TensorSpec:
        # Sizes that no batch changes stay static: models need the size of the features.
        free = 2 if ragged and array.ndim > 1 else 1
        return tf.TensorSpec([None] * min(free, array.ndim) + list(array.shape[free:]), array.dtype)

    inputs, targets, weights = example
    signature = [{name: spec(array) for name, array in inputs.items()}, spec(targets)]
    if weights is not None:
        signature.append(spec(weights))
    used = len(signature)
    stream = tf.data.Dataset.from_generator(
        lambda: (batch[:used] for batch in batches()), output_signature=tuple(signature)
    )
    return stream.apply(tf.data.experimental.assert_cardinality(steps))


def _augmenter(augment: Callable[[dict[str, Any], Any], dict[str, Any]], seed: int) -> Callable[..., Any]:
    def change(step: Any, batch: Any) -> Any:
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), step)
        return (augment(batch[0], key), *batch[1:])

    return change


def _feeder(model: "keras.Model") -> Callable[..., Any]:
    return lambda inputs, *others: (feed(model, inputs), *others)
