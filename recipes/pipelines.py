"""tf.data steps that recipes share: order, buckets of like length, windows of a stream."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from recipes.data import Batch, Data, Split, Stream
from recipes.portions import Block, Portion, cut, own_rows

if TYPE_CHECKING:
    import keras

POOL = 50
"""Batches' worth of examples among which those of like length are brought together."""


def steps_per_epoch(part: Split | Stream, batch_size: int) -> int:
    """Counts the batches of an epoch, the last one perhaps smaller."""
    return part.windows(batch_size) if isinstance(part, Stream) else -(-len(part) // batch_size)


def training_stream(
    data: Data,
    model: "keras.Model",
    *,
    batch_size: int,
    seed: int,
    first: int,
    epochs: int,
    skip: int = 0,
    portion: Portion | None = None,
    made: Callable[[range], Iterator[Any]] | None = None,
) -> Any:
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
        skip: Steps of the first epoch that are left out.
        portion: Which part of each batch is wanted; the whole batch if None.
        made: Gives the batches of some steps, counted over all epochs, augmented; they are made here if None.

    Returns:
        A dataset of (inputs, targets) or (inputs, targets, weights), `steps_per_epoch` of them for each epoch; of a
        portion as `Portion.of` gives it.
    """
    part = data.train
    steps = steps_per_epoch(part, batch_size)
    # What is drawn at random depends on the shape of the whole batch: cut before, it would be drawn otherwise.
    read = None if data.augment is not None else portion
    positions = range(first * steps + skip, epochs * steps)

    def batches() -> Iterator[Block]:
        if made is not None:
            yield from ((batch, 0, len(batch[1])) for batch in made(positions))
            return
        for epoch in range(first, epochs):
            random = np.random.default_rng([seed, epoch])
            yield from _blocks(part, batch_size, random, read, skip if epoch == first else 0)

    stream = _dataset(batches, part, len(positions), _rows(part, batch_size, read))
    if data.augment is not None and made is None:
        change = augmented(data.augment, seed)
        stream = stream.enumerate(positions.start).map(lambda step, block: (change(step, block[0]), *block[1:]))
    return _handed_out(stream, model, portion).prefetch(tf.data.AUTOTUNE)


def evaluation_stream(
    part: Split | Stream, model: "keras.Model", *, batch_size: int, portion: Portion | None = None
) -> Any:
    """Streams a part of the data once, in an order of its own.

    Args:
        part: The part.
        model: Whose inputs are fed.
        batch_size: Examples in a batch; of a stream, places that are read side by side.
        portion: Which part of each batch is wanted; the whole batch if None.

    Returns:
        A dataset of (inputs, targets) or (inputs, targets, weights), prepared once and kept; of a portion as
        `Portion.of` gives it.
    """
    steps = steps_per_epoch(part, batch_size)
    rows = _rows(part, batch_size, portion)
    stream = _dataset(lambda: _blocks(part, batch_size, None, portion, 0), part, steps, rows)
    return _handed_out(stream, model, portion, keep=True)


def epoch_batches(part: Split | Stream, batch_size: int, random: np.random.Generator | None) -> Iterator[Batch]:
    """Makes the batches of one epoch.

    Args:
        part: The part of the data.
        batch_size: Examples in a batch.
        random: Shuffles; without it examples come by length.

    Yields:
        Each batch. A stream's come in its own order.
    """
    for batch, _, _ in _blocks(part, batch_size, random, None, 0):
        yield batch


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


def epoch_plan(part: Split | Stream, batch_size: int, random: np.random.Generator | None) -> list[Callable[[], Batch]]:
    """Says how each batch of an epoch is made, without making it.

    Args:
        part: The part of the data.
        batch_size: Examples in a batch.
        random: Shuffles; without it examples come by length.

    Returns:
        A function for each step.
    """
    if isinstance(part, Stream):
        return [functools.partial(part.batch, index, batch_size) for index in range(part.windows(batch_size))]
    return [functools.partial(part.batch, rows) for rows in batch_rows(part, batch_size, random)]


def _blocks(
    part: Split | Stream, batch_size: int, random: np.random.Generator | None, portion: Portion | None, skip: int
) -> Iterator[Block]:
    if isinstance(part, Stream):
        start, stop = portion.rows(batch_size) if portion else (0, batch_size)
        for index in range(skip, part.windows(batch_size)):
            yield cut(part.batch(index, batch_size), slice(start, stop)), start, batch_size
        return
    for rows in batch_rows(part, batch_size, random)[skip:]:
        start, stop = portion.rows(len(rows)) if portion else (0, len(rows))
        yield own_rows(part, rows, start, stop), start, len(rows)


def _rows(part: Split | Stream, batch_size: int, portion: Portion | None) -> int | None:
    """How many rows a stream's blocks have; None of other parts, whose last batch may be short."""
    if not isinstance(part, Stream):
        return None
    start, stop = portion.rows(batch_size) if portion else (0, batch_size)
    return stop - start


def _dataset(blocks: Callable[[], Iterator[Block]], part: Split | Stream, steps: int, rows: int | None = None) -> Any:
    """A dataset of (batch, start, total), see `Block`; carried states want to know how many rows a stream's have."""
    specs = signature(part, rows)
    used = len(specs)
    counts = (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int64))
    stream = tf.data.Dataset.from_generator(
        lambda: ((batch[:used], start, total) for batch, start, total in blocks()),
        output_signature=(specs, *counts),
    )
    return stream.apply(tf.data.experimental.assert_cardinality(steps))


def signature(part: Split | Stream, rows: int | None = None) -> tuple[Any, ...]:
    """Says what a batch is made of.

    Args:
        part: The part of the data.
        rows: How many rows each batch has, where they are all alike.

    Returns:
        `tf.TensorSpec`s of inputs by name, targets, and weights if there are any.
    """
    inputs, targets, weights = part.batch(0, 1) if isinstance(part, Stream) else part.batch(np.arange(1))
    ragged = isinstance(part, Stream) or part.lengths is not None

    def spec(array: np.ndarray) -> tf.TensorSpec:
        # Sizes that no batch changes stay static: models need the size of the features.
        free = 2 if ragged and array.ndim > 1 else 1
        return tf.TensorSpec([rows, *[None] * (min(free, array.ndim) - 1), *array.shape[free:]], array.dtype)

    return (
        {name: spec(array) for name, array in inputs.items()},
        spec(targets),
        *([] if weights is None else [spec(weights)]),
    )


def _handed_out(stream: Any, model: "keras.Model", portion: Portion | None, *, keep: bool = False) -> Any:
    """From blocks to what a model is fed, in the end to each of several replicas."""
    feeder = _feeder(model)
    if portion is None:
        stream = stream.map(lambda batch, start, total: feeder(*batch))
        return stream.cache() if keep else stream
    replicas = range(portion.first, portion.first + portion.here)
    stream = stream.flat_map(
        lambda *block: tf.data.Dataset.range(replicas.start, replicas.stop).map(
            lambda replica: portion.of(replica, *block)
        )
    ).map(lambda batch, real: (feeder(*batch), real))
    # Endless: for any other the replicas would ask each other before each step whether there is one more.
    return (stream.cache() if keep else stream).repeat()


def augmented(augment: Callable[[dict[str, Any], Any], dict[str, Any]], seed: int) -> Callable[..., Any]:
    """Makes an augmentation a function of the step.

    Args:
        augment: As `Data.augment`.
        seed: The run's seed.

    Returns:
        (step counted over all epochs, batch) -> batch.
    """

    def change(step: Any, batch: Any) -> Any:
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), step)
        return (augment(batch[0], key), *batch[1:])

    return change


def _feeder(model: "keras.Model") -> Callable[..., Any]:
    return lambda inputs, *others: (feed(model, inputs), *others)
