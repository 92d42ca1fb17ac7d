"""How far back a layer of unknown kind looks, found by trying: which steps of its input move which of its outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from export.inference import inference_form
from export.stream_layers import is_known, only_sequence, run_chunk
from export.stream_proof import proof_inputs
from export.stream_scope import NotCausalError, Scope, entered
from export.stream_windows import Window

if TYPE_CHECKING:
    from export.streaming import Plan

# Lengths to try, in steps: a window shows where it is shorter than half the sequence.
_LENGTHS = (48, 384, 3072)
_ENTRIES = 64_000_000  # of one batch of moved inputs
_MOVED = 1e-6  # relative to the largest output


def find_window(plan: Plan, op: Any) -> Window | str | None:
    """The window of past steps that each output of a layer sees; or why there is none; or None where nothing is known.

    The layer must be the same function of its window at every place, zeros standing before the first step. That is
    not checked here: the proof that follows does.
    """
    call = None if is_known(op) else _catch(plan, op)
    if call is None:
        return None
    x, run = call
    for length in _LENGTHS:
        if length * length * int(np.prod(x.shape[2:])) > _ENTRIES:
            break
        try:
            seen = _influence(x, run, length)
        except Exception:  # a layer may raise anything on inputs that it does not take
            continue
        window = _window(seen) if seen is not None else None
        if window is not None:
            return window
    return None


def _catch(plan: Plan, op: Any) -> tuple[np.ndarray, Callable[[Any], Any]] | None:
    """-> (an input of the layer, the layer as a function of it), in the whole-sequence model."""
    for length in (0, *_LENGTHS):
        scope = _whole_run(plan, op, length)
        if scope.caught is not None:
            break
    if scope.caught is None:
        return None
    try:
        x, run = only_sequence(scope, op, *scope.caught)
    except NotCausalError:
        return None
    return np.asarray(x), run


def _whole_run(plan: Plan, op: Any, length: int) -> Scope:
    """Runs the whole-sequence model, as far as it comes: a sequence may be too short for it."""
    arrays, _ = proof_inputs(plan, least=length)
    scope = Scope({}, passive=True)
    scope.wanted = op
    with inference_form(plan.traced.model), contextlib.suppress(Exception):
        inputs = [tf.constant(array) for array in arrays.values()]
        run_chunk(plan.traced.model, scope, inputs, plan.traced.signature, plan.streams)
    return scope


def _influence(x: np.ndarray, run: Callable[[Any], Any], length: int) -> np.ndarray | None:
    """(length, outputs) bool: whether moving a step moves an output; None where there is no time axis."""
    rng = np.random.default_rng(0)
    base: np.ndarray = np.resize(x[:1], (1, length, *x.shape[2:]))
    if x.dtype.kind == "f":
        base = np.asarray(rng.normal(size=base.shape), x.dtype)
    moved = np.repeat(base, length + 1, axis=0)
    other = (
        base + 1 + rng.random(base.shape)
        if x.dtype.kind == "f"
        else np.where(base == base.max(), base.min(), base.max())
    )
    for step in range(length):  # row 0 stays as it is
        moved[step + 1, step] = other[0, step]
    with entered(None):
        outputs = keras.tree.flatten(run(tf.constant(moved)))
    y = np.asarray(outputs[0])
    if len(outputs) != 1 or y.ndim < 2 or y.shape[0] != length + 1 or y.shape[1] < 8:
        return None
    difference = np.abs(y[1:] - y[:1]).reshape(length, y.shape[1], -1).max(axis=-1)
    return np.asarray(difference > _MOVED * np.abs(y).max())


def _window(seen: np.ndarray) -> Window | str | None:
    """The window that a matrix of influences shows; or why it is none; None where the sequence was too short."""
    length, outputs = seen.shape
    first = np.where(seen.any(axis=0), seen.argmax(axis=0), -1)
    last = np.where(seen.any(axis=0), length - 1 - seen[::-1].argmax(axis=0), -1)
    place = outputs // 2
    middle = slice(place, outputs - outputs // 4)
    strides = np.unique(np.diff(first[middle]))
    sizes = np.unique((last - first)[middle]) + 1
    if len(strides) != 1 or len(sizes) != 1 or strides[0] < 1 or sizes[0] > length // 2:
        return "its output at one step depends on later steps" if (last[:place] == length - 1).any() else None
    stride, size = int(strides[0]), int(sizes[0])
    offset = int(first[place]) - place * stride  # above zero where a window starts with zero weights
    left, size = max(0, -offset), size + max(0, offset)
    delay = -(-max(0, size - left - stride) // stride)
    missing = length // stride - outputs  # outputs that the last steps do not give
    if missing < delay:
        return "its output at one step depends on later steps"
    size = max(size, left + 1, left + missing * stride + 1)
    return Window(size, stride, left, skipped=-(-left // stride))
