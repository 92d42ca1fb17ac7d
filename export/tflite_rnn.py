"""How a LiteRT while loop collects its outputs."""

from typing import Any

import keras
import tensorflow as tf

from export.loops import Loop
from export.recurrence import States
from export.tensors import dims

# A WHILE op copies its loop variables at each step, the collected outputs among them: T steps would copy T * T rows.
# Two nested loops with chunks of about sqrt(T) steps copy T * sqrt(T). Up to this many steps one chunk does.
_LEAST_CHUNK = 32


def collect_in_chunks(loop: Loop, output: tf.TensorSpec) -> tuple[tf.Tensor, States]:
    """Collects outputs by DYNAMIC_UPDATE_SLICE, an inner loop for each chunk of steps. See `loops.Collect`."""
    time, batch = dims(loop.xs)[:2]
    steps, chunk = loop.steps, _chunk_size(time)
    rows = _scratch(loop, output, time, batch, chunk)

    def inner_body(start: Any) -> Any:
        def body(t: tf.Tensor, kept: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
            y, new = loop.advance(start + t, list(states))
            return (t + 1, _write(kept, tf.expand_dims(y, 0), t), *new)

        return body

    def outer_body(start: tf.Tensor, kept: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        left = tf.minimum(chunk, steps - start)
        _, part, *new = tf.while_loop(
            lambda t, *_: t < left,
            inner_body(start),
            (tf.constant(0), rows[:chunk], *states),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, *rows.shape[1:]]), *loop.invariants),
        )
        return (start + chunk, _write(kept, part, start), *new)

    _, kept, *final = tf.while_loop(
        lambda start, *_: start < steps,
        outer_body,
        (tf.constant(0), rows, *loop.states),
        shape_invariants=(tf.TensorShape([]), rows.shape, *loop.invariants),
    )
    return kept[:time], final


def _chunk_size(time: Any) -> Any:
    if isinstance(time, int):
        return min(time, max(_LEAST_CHUNK, int(time**0.5)))
    root = tf.cast(tf.sqrt(tf.cast(time, tf.float32)), tf.int32)
    return tf.minimum(time, tf.maximum(_LEAST_CHUNK, root))


def _scratch(loop: Loop, output: tf.TensorSpec, time: Any, batch: Any, chunk: Any) -> tf.Tensor:
    """Room for time + chunk outputs: the last chunk writes a whole chunk, of which the rest is cut off.

    What it holds does not matter. A slice of the inputs is free; zeros of a static shape would lie in the file.
    """
    width = output.shape[-1]
    if (
        output.shape.rank == 2
        and loop.xs.shape.rank == 3
        and loop.xs.shape[-1] >= width
        and loop.xs.dtype == output.dtype
    ):
        room = loop.xs[:, :, :width]
        return tf.concat([room, room[:chunk]], axis=0)
    return tf.fill([time + chunk, batch, *output.shape[1:]], tf.zeros([], output.dtype))


def _write(kept: tf.Tensor, rows: tf.Tensor, at: Any) -> tf.Tensor:
    return keras.ops.slice_update(kept, tf.stack([at, *[0] * (len(kept.shape) - 1)]), rows)
