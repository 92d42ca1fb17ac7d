"""The one seam: during an export, each recurrent layer's inner loop becomes the target's own op.

Keras asks every recurrent layer's `inner_loop(sequences, initial_state, mask, training)` to run the recurrence, and
does masks, Bidirectional, initial and returned states, and nesting around it. Inside `lowered(...)` that one method
asks a `Lowering` instead. The patch sits on the classes, so it reaches layers inside Bidirectional, nested and
subclassed models; it answers only the exporting thread. `inner_loop` is not a documented API of Keras:
tests/export/test_lowering.py fails first when Keras moves it.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from export.portable import PORTABLE
from export.recurrence import Compactions, Engine, Recurrence, Result, cells_of, run
from export.tensors import dims, reshape

_BUILT_IN_CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell)


@dataclasses.dataclass(frozen=True)
class LayerNote:
    """How one recurrent layer was lowered: the form it took, and why where that is not the target's native one."""

    layer: str
    cells: tuple[str, ...]
    form: str
    reason: str = ""


class Lowering:
    """What a format puts in the place of the inner loop: each cell by the format's engine.

    Args:
        engine: Runs one cell over time in the target's best form.
        patches: Functions of Keras to replace meanwhile, by owner and name, each by what makes the replacement.
    """

    def __init__(self, engine: Engine, patches: "Patches | None" = None) -> None:
        self.engine = engine
        self.patches = patches or {}
        self.compactions = Compactions()

    def recurrent(self, call: Recurrence) -> Result:
        """Lowers one recurrent layer."""
        return run(call, self.engine, self.compactions)

    def bidirectional(
        self, layer: keras.layers.Bidirectional, forward: Recurrence, backward: Recurrence
    ) -> tuple[Result, Result] | None:
        """Lowers both directions as one op, both results in the order of time; None to lower them one by one."""
        return None

    def note(self, layer: keras.layers.RNN) -> LayerNote:
        """How the layer is lowered."""
        cells = cells_of(layer)
        forms = [self.engine.form(cell) for cell in cells]
        return LayerNote(
            layer=layer.name,
            cells=tuple(type(cell).__name__ for cell in cells),
            form="; ".join(dict.fromkeys(form for form, _ in forms)),
            reason="; ".join(dict.fromkeys(reason for _, reason in forms if reason)),
        )


class _Active(threading.local):
    lowering: Lowering | None = None
    notes: list[LayerNote]
    zeros: dict[int, Any]
    folding: bool = False


_active = _Active()
patching = threading.RLock()  # the classes are shared by all threads


@contextlib.contextmanager
def lowered(lowering: Lowering) -> Iterator[list[LayerNote]]:
    """Inside, recurrent layers called by this thread are lowered; yields the notes, one for each layer call."""
    with patching:
        _active.lowering, _active.notes, _active.zeros = lowering, [], {}
        try:
            with patched({**_PATCHES, **PORTABLE, **lowering.patches}), time_folded():
                yield _active.notes
        finally:
            _active.lowering = None
            _active.zeros = {}


@contextlib.contextmanager
def time_folded() -> Iterator[None]:
    """Inside, TimeDistributed layers called by this thread fold the time axis into the batch axis.

    Keras maps over the time axis by vectorized_map, of which a traced graph keeps ONE step where the axis is dynamic.
    Folding is the same function for every layer that treats its samples independently.
    """
    outer, _active.folding = _active.folding, True
    try:
        with patched({(keras.layers.TimeDistributed, "call"): _time_distributed_call}):
            yield
    finally:
        _active.folding = outer


@contextlib.contextmanager
def patched(patches: "Patches") -> Iterator[None]:
    """Inside, functions of Keras's classes are replaced."""
    originals = {(owner, name): owner.__dict__[name] for owner, name in patches}
    try:
        for (owner, name), replacement in patches.items():
            setattr(owner, name, replacement(originals[owner, name]))
        yield
    finally:
        for (owner, name), original in originals.items():
            setattr(owner, name, original)


def _inner_loop(original: Callable[..., Any]) -> Callable[..., Any]:
    def inner_loop(
        self: keras.layers.RNN, sequences: Any, initial_state: Any, mask: Any = None, training: bool = False
    ) -> Any:
        if _active.lowering is None:
            return original(self, sequences, initial_state, mask=mask, training=training)
        _active.notes.append(_active.lowering.note(self))
        return _active.lowering.recurrent(_recurrence(self, sequences, initial_state, mask))

    return inner_loop


def _recurrence(layer: keras.layers.RNN, sequences: Any, initial_state: Any, mask: Any) -> Recurrence:
    states = list(initial_state) if keras.tree.is_nested(initial_state) else [initial_state]
    masks = [] if mask is None else keras.tree.flatten(mask)
    zero = all(id(state) in _active.zeros for state in keras.tree.flatten(states))
    first = cells_of(layer)[0]
    if type(first) in _BUILT_IN_CELLS and not sequences.dtype.is_floating:
        sequences = tf.cast(sequences, first.compute_dtype)  # as Keras's products do with whole numbers
    return Recurrence(layer, sequences, states, _step_mask(masks[0]) if masks else None, zero)


def _step_mask(mask: Any) -> tf.Tensor:
    mask = tf.cast(mask, tf.bool)
    return tf.squeeze(mask, -1) if len(mask.shape) == 3 else mask


def _get_initial_state(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_initial_state(self: keras.layers.RNN, batch_size: Any = None) -> Any:
        states = original(self, batch_size=batch_size)
        cells = getattr(self.cell, "cells", [self.cell])
        if _active.lowering is not None and all(type(cell) in _BUILT_IN_CELLS for cell in cells):
            # Held by the dict as well, so that no later tensor can get the same id.
            _active.zeros.update({id(state): state for state in keras.tree.flatten(states)})
        return states

    return get_initial_state


def _config_dropout_masks(original: Callable[..., Any]) -> Callable[..., Any]:
    def config_dropout_masks(self: keras.layers.RNN, *args: Any) -> None:
        # An exported model does not train; the masks' seed generators would assign to variables and break freezing.
        if _active.lowering is None:
            original(self, *args)

    return config_dropout_masks


def _bidirectional_call(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(
        self: keras.layers.Bidirectional,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: Any = None,
    ) -> Any:
        active = _active.lowering
        pair = None if active is None else _both_directions(active, self, sequences, initial_state, mask)
        if pair is None:
            return original(self, sequences, initial_state=initial_state, mask=mask, training=training)
        return _merge(self, *pair)

    return call


def _both_directions(
    lowering: Lowering, layer: keras.layers.Bidirectional, sequences: Any, initial_state: Any, mask: Any
) -> tuple[Result, Result] | None:
    directions = (layer.forward_layer, layer.backward_layer)
    if not all(isinstance(direction, keras.layers.RNN) for direction in directions):
        return None
    if initial_state is None:
        states = [direction.get_initial_state(tf.shape(sequences)[0]) for direction in directions]
    else:
        half = len(initial_state) // 2
        states = [list(initial_state[:half]), list(initial_state[half:])]
    calls = [_recurrence(d, sequences, s, mask) for d, s in zip(directions, states, strict=True)]
    pair = lowering.bidirectional(layer, calls[0], calls[1])
    if pair is not None:
        _active.notes.extend(lowering.note(direction) for direction in directions)
    return pair


def _side_by_side(y: tf.Tensor, y_rev: tf.Tensor) -> tf.Tensor:
    """The two along the last axis; where they are the halves of one tensor, that tensor."""
    split = y.op
    if split.type == "Split" and split is y_rev.op and (y.value_index, y_rev.value_index) == (0, 1):
        return split.inputs[1]
    return tf.concat([y, y_rev], axis=-1)


_MERGE: dict[str | None, Callable[[Any, Any], Any]] = {
    "concat": _side_by_side,
    "sum": lambda y, y_rev: y + y_rev,
    "ave": lambda y, y_rev: (y + y_rev) / 2,
    "mul": lambda y, y_rev: y * y_rev,
    None: lambda y, y_rev: (y, y_rev),
}


def _merge(layer: keras.layers.Bidirectional, forward: Result, backward: Result) -> Any:
    """What keras.layers.Bidirectional.call does with the two directions' results, both here in the order of time."""
    pick = 1 if layer.return_sequences else 0
    output = _MERGE[layer.merge_mode](forward[pick], backward[pick])
    if not layer.return_state:
        return output
    states = (*forward[2], *backward[2])
    return (*output, *states) if layer.merge_mode is None else (output, *states)


def _no_fused_attempt(original: Callable[..., Any]) -> Callable[..., Any]:
    def can_attempt(self: keras.layers.Bidirectional, *args: Any, **kwargs: Any) -> bool:
        # On a GPU host Keras would put cuDNN ops in the graph, which no exported runtime takes.
        return False if _active.lowering is not None else original(self, *args, **kwargs)

    return can_attempt


def _time_distributed_call(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: keras.layers.TimeDistributed, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if not _active.folding:
            return original(self, inputs, training=training, mask=mask)
        shape = dims(inputs)
        kwargs: dict[str, Any] = {}
        if self.layer._call_has_mask_arg and mask is not None:
            kwargs["mask"] = reshape(mask, [-1, *dims(mask)[2:]])
        if self.layer._call_has_training_arg:
            kwargs["training"] = training
        folded = self.layer.call(reshape(inputs, [-1, *shape[2:]]), **kwargs)
        return keras.tree.map_structure(lambda y: reshape(y, [*shape[:2], *dims(y)[1:]]), folded)

    return call


Patches = dict[tuple[Any, str], Callable[[Callable[..., Any]], Callable[..., Any]]]
_PATCHES: Patches = {
    (keras.layers.RNN, "inner_loop"): _inner_loop,
    (keras.layers.LSTM, "inner_loop"): _inner_loop,
    (keras.layers.GRU, "inner_loop"): _inner_loop,
    (keras.layers.RNN, "get_initial_state"): _get_initial_state,
    (keras.layers.RNN, "_maybe_config_dropout_masks"): _config_dropout_masks,
    (keras.layers.Bidirectional, "call"): _bidirectional_call,
    (keras.layers.Bidirectional, "_can_attempt_fused_lstm"): _no_fused_attempt,
    (keras.layers.Bidirectional, "_can_attempt_fused_gru"): _no_fused_attempt,
}


@contextlib.contextmanager
def seeds_kept(model: keras.Model) -> Iterator[None]:
    """Afterwards the model's random seeds are as before: Keras draws dropout masks even where it does not use them."""
    seeds = [(v, v.numpy()) for v in model.variables if v.path.endswith("seed_generator_state")]
    try:
        yield
    finally:
        for variable, value in seeds:
            variable.assign(value)
