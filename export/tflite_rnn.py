"""The while loops of a LiteRT file: how many steps an iteration has, and how outputs are collected."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from export import loops
from export.loops import Loop
from export.recurrence import States
from export.tensors import dims

# A WHILE op copies what it carries at each step, the collected outputs among it: T steps would copy T * T rows. So the
# loop runs in chunks of chunks. Their sizes are known before the first step: where a tensor's size may change with the
# data, anywhere in the file, the interpreter prepares ops anew at each step, which takes longer than running them.
_CHUNK = 512
# To enter a loop takes as long as ten small steps. Of four steps an iteration, fewer copy what the loop carries, so a
# longer chunk is worth it.
_PART, _LONG_PART = 32, 64
# Several steps an iteration share its overhead, as large as a small step; not of many ops, which would only make the
# file larger (an LSTM with mish is forty). XNNPACK packs a kernel anew for each product, and more bytes than
# these crowd each other out of a core's cache (two steps took 0.87 of the time with 64 KB each, 1.0 with 256, 1.3 with
# 1,024; four with 64 KB 0.88 of two).
_KERNELS = 256 * 1024
_MOST_STEPS = 4
# From this size on the weights make up for what more than two steps add to the file.
_LARGE_ENOUGH = 16 * 1024


def collect_in_chunks(loop: Loop, output: tf.TensorSpec) -> tuple[tf.Tensor, States]:
    """Collects outputs by DYNAMIC_UPDATE_SLICE, in nested loops over chunks of steps. See `loops.Collect`."""
    time, together = loop.time, _steps_together(loop, 2)
    # The first steps of each chunk, as many as the sequence has: from the shape alone, so of a size known beforehand.
    size = _LONG_PART if together == _MOST_STEPS else _PART
    part = tf.range(time)[:size] if together == 1 else tf.range(size)  # several at a time want whole parts
    chunks = _Chunks(loop, output, [tf.range(time)[:_CHUNK], part], together)
    kept, final = _run_chunks(chunks, 0, loop.xs, time, 0, loop.steps, loop.states)
    return tf.gather(kept, tf.range(time)), final  # a slice up to `time` would not have a size known beforehand


def final_states(loop: Loop) -> States:
    """Several steps an iteration, and those that are left one by one. See `loops.final_states`."""
    together = _steps_together(loop, 1)
    if together == 1:
        return loops.final_states(loop)
    steps, inputs = loop.steps, loop.project(loop.xs)
    whole = steps - steps % together

    def several(t: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        new = list(states)
        for place, row in enumerate(_rows(inputs, t, together)):
            new = loop.advance(row, t + place, new, loop.count)[1]
        return (t + together, *new)

    def one(t: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (t + 1, *loop.advance(tf.gather(inputs, t), t, list(states), loop.count)[1])

    shapes = (tf.TensorShape([]), *loop.invariants)
    done = tf.while_loop(lambda t, *_: t < whole, several, (tf.constant(0), *loop.states), shape_invariants=shapes)
    _, *final = tf.while_loop(lambda t, *_: t < steps, one, done, shape_invariants=shapes)
    return list(final)


def _steps_together(loop: Loop, small: int) -> int:
    """How many steps an iteration has; `small` where the kernel is too small for many, or too large."""
    if loop.kernel_bytes is None or not loop.few_ops or 2 * loop.kernel_bytes > _KERNELS:
        return 1
    if loop.kernel_bytes < _LARGE_ENOUGH:
        return small
    return _MOST_STEPS if _MOST_STEPS * loop.kernel_bytes <= _KERNELS else small


def _rows(xs: tf.Tensor, at: Any, count: int) -> list[tf.Tensor]:
    return [_drop_first_axis(row) for row in tf.split(tf.gather(xs, at + tf.range(count)), count)]


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """How a loop is cut: `offsets` holds the first steps of a chunk of each size, `together` steps are an iteration."""

    loop: Loop
    output: tf.TensorSpec
    offsets: list[tf.Tensor]
    together: int


def _run_chunks(
    chunks: _Chunks, level: int, xs: tf.Tensor, size: Any, start: Any, steps: Any, states: States
) -> tuple[tf.Tensor, States]:
    """Runs `steps` steps on the first of the `size` rows of xs, which stand for the steps from `start` on.

    Returns:
        The outputs, followed by as many rows without meaning as a chunk has, and the final states.
    """
    if level == len(chunks.offsets):
        run_steps = _run_steps if chunks.together == 1 else _run_together
        return run_steps(chunks, xs, size, start, steps, states)
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


def _run_together(
    chunks: _Chunks, xs: tf.Tensor, size: Any, start: Any, steps: Any, states: States
) -> tuple[tf.Tensor, States]:
    """`_run_steps`, several at a time. Steps after the last one hold the states; their outputs mean nothing."""
    loop, together = chunks.loop, chunks.together
    end = start + steps

    def body(at: tf.Tensor, kept: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        outputs, new = [], list(states)
        for place, row in enumerate(_rows(xs, at, together)):
            limit = end if loop.count is None and place > 0 else loop.count
            y, new = loop.advance(row, start + at + place, new, limit)
            outputs.append(_as_row(y))
        return (at + together, _write(kept, tf.concat(outputs, axis=0), at), *new)

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
