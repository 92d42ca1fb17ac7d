"""Recurrent layers chunk by chunk: their states are handed from chunk to chunk."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from export import stream_windows as windows
from export.stream_scope import Scope, active, entered, refuse
from export.stream_windows import changed
from export.tensors import dims, reshape, where


def recurrent(scope: Scope, layer: keras.layers.RNN, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The layer's call on a chunk: its own state is out of use, its outputs go on as a sequence or end there.

    Raises:
        NotCausalError: It reads backwards.
    """
    if layer.go_backwards:
        raise refuse(layer, "go_backwards=True reads the sequence from its end")
    given = kwargs.get("initial_state", args[1] if len(args) > 1 else None)
    frame, stateful = scope.frame, layer.stateful
    frame.initial_state_given = given is not None
    try:
        layer.stateful = False  # the chunk before is in the scope
        outputs = call(*args, **kwargs)
    finally:
        layer.stateful = stateful
    flat = keras.tree.flatten(outputs)
    frame.result = [frame.timing if layer.return_sequences else None, *[None] * (len(flat) - 1)]
    return outputs


def inner_loop(original: Callable[..., Any]) -> Callable[..., Any]:
    """Keras's inner loop, or the one that a lowering put in its place, from the states before the chunk."""

    def streamed(
        self: keras.layers.RNN, sequences: Any, initial_state: Any, mask: Any = None, training: bool = False
    ) -> Any:
        scope = active()
        if scope is None:
            return original(self, sequences, initial_state, mask=mask, training=training)
        flat = keras.tree.flatten(initial_state)
        names = [scope.name(self, suffix) for suffix in _suffixes(self, len(flat))]
        before = _states_before(scope, self, names, flat)
        mask = _with_warmup(mask, windows.valid_mask(scope, self, sequences))
        single = sequences.shape[1] == 1
        with entered(None), changed(self, return_state=True):  # or a lowering would not care for the states
            states = keras.tree.pack_sequence_as(initial_state, before)
            # A single step needs no loop that minds the mask: where it is masked, nothing happened.
            last, outputs, after = original(self, sequences, states, mask=None if single else mask, training=training)
        if mask is not None:
            mask = reshape(tf.cast(keras.tree.flatten(mask)[0], tf.bool), dims(sequences)[:2])
            if single:
                flat = [where(mask[:, 0], a, b) for a, b in zip(keras.tree.flatten(after), before, strict=True)]
                after = keras.tree.pack_sequence_as(after, flat)
            last, outputs = _held(scope, self, mask, last, outputs)
        for name, value in zip(names, keras.tree.flatten(after), strict=True):
            scope.write(name, value)
        return last, outputs, after

    return streamed


def unseen(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose calls of layers are no business of the stream's."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with entered(None):
            return original(*args, **kwargs)

    return call


def _suffixes(layer: keras.layers.RNN, count: int) -> list[str]:
    if isinstance(layer.cell, keras.layers.LSTMCell):
        return ["h", "c"]
    if count == 1:
        return ["h"]
    return [f"state_{index}" for index in range(count)]


def _states_before(scope: Scope, layer: Any, names: list[str], initial: list[Any]) -> list[Any]:
    if not scope.frame.initial_state_given:
        return [scope.read(name, value) for name, value in zip(names, initial, strict=True)]
    # The first state depends on the inputs: it counts in the first chunk only.
    started_name = scope.name(layer, "started")
    started = scope.read(started_name, tf.zeros([dims(initial[0])[0]], tf.int32))
    scope.write(started_name, tf.ones_like(started))
    kept = [scope.read(name, tf.zeros_like(value)) for name, value in zip(names, initial, strict=True)]
    return [where(started > 0, state, first) for state, first in zip(kept, initial, strict=True)]


def _with_warmup(mask: Any, valid: tf.Tensor | None) -> Any:
    if mask is None or valid is None:
        return valid if mask is None else mask
    mask = tf.cast(keras.tree.flatten(mask)[0], tf.bool)
    return mask & valid


def _held(scope: Scope, layer: keras.layers.RNN, mask: tf.Tensor, last: Any, outputs: Any) -> tuple[Any, Any]:
    """A masked step repeats the output before it: where the chunk starts masked, that of the chunk before; or zero."""
    if layer.zero_output_for_mask:
        outputs = where(mask, outputs, tf.zeros_like(outputs)) if layer.return_sequences else outputs
        return where(mask[:, -1], last, tf.zeros_like(last)), outputs
    name = scope.name(layer, "output")
    before = scope.read(name, tf.zeros_like(last))
    if layer.return_sequences:
        seen = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
        outputs = where(seen, outputs, tf.broadcast_to(tf.expand_dims(before, 1), tf.shape(outputs)))
        last = outputs[:, -1]  # a lowered loop's own `last` is of its last step, also where the row ended before it
    else:
        last = where(tf.reduce_any(mask, axis=1), last, before)
    scope.write(name, last)
    return last, outputs
