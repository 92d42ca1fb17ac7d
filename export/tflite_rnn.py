"""How a LiteRT while loop collects its outputs."""

from typing import Any

import keras
import tensorflow as tf

from export.loops import Loop
from export.recurrence import States
from export.tensors import dims

# A WHILE op copies what it carries at each step, the collected outputs among it: T steps would copy T * T rows. So the
# loop runs in chunks of chunks. Their sizes are known before the first step: where a tensor's size may change with the
# data, anywhere in the file, the interpreter prepares ops anew at each step, which takes longer than running them.
_CHUNKS = (512, 32)


def collect_in_chunks(loop: Loop, output: tf.TensorSpec) -> tuple[tf.Tensor, States]:
    """Collects outputs by DYNAMIC_UPDATE_SLICE, in nested loops over chunks of steps. See `loops.Collect`."""
    time = dims(loop.xs)[0]
    # The first steps of each chunk, as many as the sequence has: from the shape alone, so of a size known beforehand.
    offsets = [tf.range(time)[:size] for size in _CHUNKS]
    kept, final = _run(loop, output, offsets, loop.xs, 0, loop.steps, loop.states)
    return tf.gather(kept, tf.range(time)), final  # a slice up to `time` would not have a size known beforehand


def _run(
    loop: Loop, output: tf.TensorSpec, offsets: list[tf.Tensor], xs: tf.Tensor, start: Any, steps: Any, states: Any
) -> tuple[tf.Tensor, States]:
    """Runs `steps` steps on the first rows of xs, which stand for the steps from `start` on.

    Returns:
        The outputs, followed by as many rows without meaning as a chunk has, and the final states.
    """
    whole = len(offsets) == len(_CHUNKS)  # here xs are still the inputs; the chunks below have their projection

    def body(at: tf.Tensor, kept: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if offsets:
            rows = tf.gather(xs, tf.minimum(at + offsets[0], tf.shape(xs)[0] - 1))
            size = tf.shape(rows)[0]
            rows = loop.project(rows) if whole else rows
            part, new = _run(loop, output, offsets[1:], rows, start + at, tf.minimum(size, steps - at), states)
            return (at + size, _write(kept, part, at), *new)
        y, new = loop.advance(tf.gather(xs, at), start + at, list(states), loop.count)
        return (at + 1, _write(kept, _as_row(y), at), *new)

    room = _room(xs, output, offsets)
    _, kept, *final = tf.while_loop(
        lambda at, *_: at < steps,
        body,
        (tf.constant(0), room, *states),
        shape_invariants=(tf.TensorShape([]), room.shape, *loop.invariants),
    )
    return kept, final


def _room(xs: tf.Tensor, output: tf.TensorSpec, chunks: list[tf.Tensor]) -> tf.Tensor:
    """Room for an output a row of xs, and for one more chunk of each size: the last ones are written whole.

    DYNAMIC_UPDATE_SLICE moves what would go past the end to an earlier place, without a word.

    What it holds does not matter. A part of the inputs is free; zeros of a static shape would lie in the file.
    """
    width = output.shape[-1]
    if output.shape.rank == 2 and xs.shape.rank == 3 and xs.shape[-1] >= width and xs.dtype == output.dtype:
        room = xs[:, :, :width]
    else:
        any_value = tf.cast(xs[(0,) * xs.shape.rank], output.dtype)
        room = tf.fill([*dims(xs)[:2], *output.shape[1:]], any_value)
    return tf.concat([room, *(tf.gather(room, tf.zeros_like(rows)) for rows in chunks)], axis=0)


def _as_row(y: tf.Tensor) -> tf.Tensor:
    """(batch, ...) -> (1, batch, ...). RESHAPE is among LiteRT's fast kernels, EXPAND_DIMS is not."""
    return tf.reshape(y, [1, -1, *y.shape[1:]]) if y.shape[1:].is_fully_defined() else tf.expand_dims(y, 0)


def _write(kept: tf.Tensor, rows: tf.Tensor, at: Any) -> tf.Tensor:
    return keras.ops.slice_update(kept, tf.stack([at, *[0] * (len(kept.shape) - 1)]), rows)
