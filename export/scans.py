"""Recurrences that users write with keras.ops: scan, associative_scan and map, as loops that the runtimes take.

Keras keeps what these loops carry and give in TensorArrays, which LiteRT's converter and tf2onnx do not take so. The
associative one it unrolls to as many products as a static length has halves, and of a dynamic one gives no shape.
"""

from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import core
from keras.src.backend.tensorflow import numpy as keras_numpy

from export.tensors import dims

Tensors = list[tf.Tensor]
Step = Callable[[tf.Tensor, Tensors], tuple[Tensors, Tensors]]
Call = Callable[..., Any]
_CHUNK = 64  # the square root of 4,096 steps, at which the inner and the outer rooms are copied as often


class Run(Protocol):
    """Runs `step(t, carried) -> (carried, outputs)` for t from 0 on; the part in which the runtimes differ."""

    def __call__(self, step: Step, count: Any, carried: Tensors) -> tuple[Tensors, Tensors]:
        """-> (what is carried after `count` steps, each output (count, ...))."""


def in_arrays(step: Step, count: Any, carried: Tensors) -> tuple[Tensors, Tensors]:
    """Collects in one TensorArray an output, which ONNX makes a Loop's scan output. See `Run`."""
    after, given = step(tf.constant(0), carried)  # for its shapes; feeding nothing, it is pruned
    arrays = [tf.TensorArray(y.dtype, size=count, element_shape=y.shape) for y in given]

    def body(t: tf.Tensor, *values: Any) -> tuple[Any, ...]:
        new, outputs = step(t, list(values[len(arrays) :]))
        written = [array.write(t, y) for array, y in zip(values[: len(arrays)], outputs, strict=True)]
        return (t + 1, *written, *new)

    _, *final = tf.while_loop(
        lambda t, *_: t < count,
        body,
        (tf.constant(0), *arrays, *carried),
        shape_invariants=(tf.TensorShape([]), *[tf.TensorShape(None)] * len(arrays), *_invariants(carried, after)),
    )
    return final[len(arrays) :], [array.stack() for array in final[: len(arrays)]]


def in_chunks(step: Step, count: Any, carried: Tensors) -> tuple[Tensors, Tensors]:
    """Collects by DYNAMIC_UPDATE_SLICE, a chunk of steps at a time: LiteRT copies what a loop carries at each step."""
    after, given = step(tf.constant(0), carried)
    invariants = _invariants(carried, after)

    def room(size: Any) -> Tensors:
        """For so many outputs. What it holds does not matter: not zeros, which would lie in the file."""
        return [tf.gather(tf.expand_dims(y, 0), tf.zeros([size], tf.int32)) for y in given]

    def loop(body: Callable[..., Any], until: Any, rooms: Tensors, carried: Tensors) -> tuple[Tensors, Tensors]:
        shapes = (tf.TensorShape([]), *(r.shape for r in rooms), *invariants)
        _, *final = tf.while_loop(
            lambda at, *_: at < until, body, (tf.constant(0), *rooms, *carried), shape_invariants=shapes
        )
        return final[: len(rooms)], final[len(rooms) :]

    def chunk(at: tf.Tensor, *values: Any) -> tuple[Any, ...]:
        def one(j: tf.Tensor, *values: Any) -> tuple[Any, ...]:
            new, outputs = step(at + j, list(values[len(given) :]))
            return (j + 1, *_written(values, [tf.expand_dims(y, 0) for y in outputs], j), *new)

        steps = tf.minimum(_CHUNK, count - at)
        outputs, new = loop(one, steps, room(_CHUNK), list(values[len(given) :]))
        return (at + _CHUNK, *_written(values, outputs, at), *new)

    # One chunk more: what would go past the end is moved to an earlier place, without a word.
    kept, final = loop(chunk, count, room(count + _CHUNK), carried)
    return final, [tf.gather(rows, tf.range(count)) for rows in kept]


def _written(rooms: Any, rows: Tensors, at: tf.Tensor) -> Tensors:
    pairs = zip(rooms[: len(rows)], rows, strict=True)
    return [keras.ops.slice_update(room, tf.stack([at, *[0] * (len(room.shape) - 1)]), y) for room, y in pairs]


def _invariants(before: Tensors, after: Tensors) -> list[tf.TensorShape]:
    """What is known of each carried shape at every step."""
    return [
        tf.TensorShape([a if a == b else None for a, b in zip(x.shape, y.shape, strict=True)])
        for x, y in zip(before, after, strict=True)
    ]


def patches(run: Run) -> dict[tuple[Any, str], Callable[[Call], Call]]:
    """Replacements of Keras's scan, associative scan and map."""
    return {
        **associative_by(run),
        (core, "scan"): lambda original: lambda *args, **kwargs: _scan(run, *args, **kwargs),
        (core, "map"): lambda original: lambda f, xs: _map(run, f, xs),
    }


def associative_by(run: Run) -> dict[tuple[Any, str], Callable[[Call], Call]]:
    """Replacement of Keras's associative scan."""
    return {
        (core, "associative_scan"): lambda original: lambda *args, **kwargs: _associative_scan(run, *args, **kwargs)
    }


def cumprod_by(run: Run) -> dict[tuple[Any, str], Callable[[Call], Call]]:
    """Replacement of Keras's cumulative product."""

    def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
        x = keras_numpy.convert_to_tensor(x, dtype=dtype)
        x = tf.cast(x, tf.int32) if x.dtype == tf.bool else x
        x, axis = (tf.reshape(x, [-1]), 0) if axis is None else (x, axis)
        rows = keras_numpy.moveaxis(x, axis, 0)
        _, products = _scan(run, lambda product, row: (product * row,) * 2, tf.ones_like(rows[0]), rows)
        return keras_numpy.moveaxis(products, 0, axis)

    return {(keras_numpy, "cumprod"): lambda original: cumprod}


def _scan(
    run: Run, f: Call, init: Any, xs: Any = None, length: Any = None, reverse: bool = False, unroll: Any = 1
) -> tuple[Any, Any]:
    """keras.ops.scan with its parameters; `unroll` only tells Keras how many steps may run at a time."""
    rows = [tf.convert_to_tensor(x) for x in keras.tree.flatten(xs)] if xs is not None else []
    count = dims(rows[0])[0] if length is None else int(length)
    made: list[Any] = []  # the outputs' structure

    def step(t: tf.Tensor, carried: Tensors) -> tuple[Tensors, Tensors]:
        at = count - 1 - t if reverse else t
        x = keras.tree.pack_sequence_as(xs, [tf.gather(row, at) for row in rows]) if rows else None
        carry, output = f(keras.tree.pack_sequence_as(init, carried), x)
        made[:] = [output]
        outputs = [] if output is None else [tf.convert_to_tensor(y) for y in keras.tree.flatten(output)]
        return [tf.convert_to_tensor(value) for value in keras.tree.flatten(carry)], outputs

    final, outputs = run(step, count, [tf.convert_to_tensor(value) for value in keras.tree.flatten(init)])
    outputs = [tf.reverse(y, [0]) for y in outputs] if reverse else outputs
    packed = keras.tree.pack_sequence_as(made[0], outputs) if outputs else None
    return keras.tree.pack_sequence_as(init, final), packed


def _associative_scan(run: Run, f: Call, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """keras.ops.associative_scan with its parameters, one step after the other: f may join them in any order."""
    rows = [keras_numpy.moveaxis(tf.convert_to_tensor(x), axis, 0) for x in keras.tree.flatten(elems)]

    def step(carried: tuple[tf.Tensor, Tensors], row: Tensors) -> tuple[Any, Tensors]:
        started, before = carried
        joined = f(*(keras.tree.pack_sequence_as(elems, values) for values in (before, row)))
        after = [tf.where(started, new, first) for new, first in zip(keras.tree.flatten(joined), row, strict=True)]
        return (tf.ones_like(started), after), after

    _, outputs = _scan(run, step, (tf.constant(False), [row[0] for row in rows]), rows, reverse=reverse)
    return keras.tree.pack_sequence_as(elems, [keras_numpy.moveaxis(y, 0, axis) for y in outputs])


def _map(run: Run, f: Call, xs: Any) -> Any:
    return _scan(run, lambda carry, x: (carry, f(x)), [], xs)[1]
