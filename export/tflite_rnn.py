"""How a LiteRT while loop collects its outputs."""

import dataclasses
from collections.abc import Callable
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
# Two steps an iteration share its overhead, as large as a small step; not as one of many ops, which would only make the
# file larger (an LSTM with mish is forty). XNNPACK packs a kernel anew for each product, and from about this size on,
# two of them crowd each other out of a core's cache (measured: 0.87 of the time at 64 KB, 1.0 at 256 KB, 1.3 at 1 MB).
_SMALL_KERNEL = 128 * 1024


def collect_in_chunks(loop: Loop, output: tf.TensorSpec) -> tuple[tf.Tensor, States]:
    """Collects outputs by DYNAMIC_UPDATE_SLICE, in nested loops over chunks of steps. See `loops.Collect`."""
    time = loop.time
    # The first steps of each chunk, as many as the sequence has: from the shape alone, so of a size known beforehand.
    offsets = [tf.range(time)[:size] for size in _CHUNKS]
    if loop.kernel_bytes is not None and loop.kernel_bytes <= _SMALL_KERNEL and loop.few_ops:
        offsets[-1] = tf.range(_CHUNKS[-1])  # an even number of steps
        run_steps = _run_pairs
    else:
        run_steps = _run_steps
    kept, final = _run_chunks(_Chunks(loop, output, offsets, run_steps), 0, loop.xs, time, 0, loop.steps, loop.states)
    return tf.gather(kept, tf.range(time)), final  # a slice up to `time` would not have a size known beforehand


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """How a loop is cut: `offsets` holds the first steps of a chunk of each size, `run_steps` runs the smallest."""

    loop: Loop
    output: tf.TensorSpec
    offsets: list[tf.Tensor]
    run_steps: Callable[..., tuple[tf.Tensor, States]]


def _run_chunks(
    chunks: _Chunks, level: int, xs: tf.Tensor, size: Any, start: Any, steps: Any, states: States
) -> tuple[tf.Tensor, States]:
    """Runs `steps` steps on the first of the `size` rows of xs, which stand for the steps from `start` on.

    Returns:
        The outputs, followed by as many rows without meaning as a chunk has, and the final states.
    """
    if level == len(chunks.offsets):
        return chunks.run_steps(chunks, xs, size, start, steps, states)
    offsets = chunks.offsets[level]

    def body(at: tf.Tensor, kept: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows = tf.gather(xs, tf.minimum(at + offsets, size - 1))
        part_size = tf.shape(rows)[0]
        rows = chunks.loop.project(rows) if level == 0 else rows
        part_steps = tf.minimum(part_size, steps - at)
        part, new = _run_chunks(chunks, level + 1, rows, part_size, start + at, part_steps, list(states))
        return (at + part_size, _write(kept, part, at), *new)

    return _while(chunks, body, steps, _room(xs, size, chunks.output, chunks.offsets[level:]), states)


def _run_steps(
    chunks: _Chunks, xs: tf.Tensor, size: Any, start: Any, steps: Any, states: States
) -> tuple[tf.Tensor, States]:
    loop = chunks.loop

    def body(at: tf.Tensor, kept: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        y, new = loop.advance(tf.gather(xs, at), start + at, list(states), loop.count)
        return (at + 1, _write(kept, _as_row(y), at), *new)

    return _while(chunks, body, steps, _room(xs, size, chunks.output, []), states)


def _run_pairs(
    chunks: _Chunks, xs: tf.Tensor, size: Any, start: Any, steps: Any, states: States
) -> tuple[tf.Tensor, States]:
    """`_run_steps`, two at a time. A step too many after an odd last one holds the states; its output means nothing."""
    loop = chunks.loop
    end = start + steps

    def body(at: tf.Tensor, kept: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        first, second = (_drop_first_axis(row) for row in tf.split(tf.gather(xs, at + tf.range(2)), 2))
        y, new = loop.advance(first, start + at, list(states), loop.count)
        z, new = loop.advance(second, start + at + 1, new, end if loop.count is None else loop.count)
        return (at + 2, _write(kept, tf.concat([_as_row(y), _as_row(z)], axis=0), at), *new)

    return _while(chunks, body, steps, _room(xs, size, chunks.output, []), states)


def _while(
    chunks: _Chunks, body: Callable[..., tuple[tf.Tensor, ...]], steps: Any, room: tf.Tensor, states: States
) -> tuple[tf.Tensor, States]:
    _, kept, *final = tf.while_loop(
        lambda at, *_: at < steps,
        body,
        (tf.constant(0), room, *states),
        shape_invariants=(tf.TensorShape([]), room.shape, *chunks.loop.invariants),
    )
    return kept, final


def _room(xs: tf.Tensor, size: Any, output: tf.TensorSpec, chunks: list[tf.Tensor]) -> tf.Tensor:
    """Room for an output of each of the `size` rows of xs, and for one more chunk of each size, written whole.

    DYNAMIC_UPDATE_SLICE moves what would go past the end to an earlier place, without a word.

    What it holds does not matter. A part of the inputs is free; zeros of a static shape would lie in the file.
    """
    width = output.shape[-1]
    if output.shape.rank == 2 and xs.shape.rank == 3 and xs.shape[-1] >= width and xs.dtype == output.dtype:
        room = xs[:, :, :width]
    else:
        any_value = tf.cast(xs[(0,) * xs.shape.rank], output.dtype)
        room = tf.fill([*dims(xs)[:2], *output.shape[1:]], any_value)
    if not chunks:
        return room
    return tf.gather(room, tf.concat([tf.range(size), *(tf.zeros_like(rows) for rows in chunks)], axis=0))


def _as_row(y: tf.Tensor) -> tf.Tensor:
    """(batch, ...) -> (1, batch, ...). RESHAPE is among LiteRT's fast kernels, EXPAND_DIMS is not."""
    return tf.reshape(y, [1, -1, *y.shape[1:]]) if y.shape[1:].is_fully_defined() else tf.expand_dims(y, 0)


def _drop_first_axis(row: tf.Tensor) -> tf.Tensor:
    """(1, batch, units) -> (batch, units), by RESHAPE for the same reason."""
    return tf.reshape(row, [-1, *row.shape[2:]])


def _write(kept: tf.Tensor, rows: tf.Tensor, at: Any) -> tf.Tensor:
    return keras.ops.slice_update(kept, tf.stack([at, *[0] * (len(kept.shape) - 1)]), rows)
