"""How each kind of layer runs chunk by chunk: ONE table; what is not in it treats every step by itself, or is refused.

The patches sit on the classes, as those of `export.lowering` do, and work inside them: a step model is lowered like
any other.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.models.functional import Functional
from keras.src.ops.numpy import GetItem, Pad

from export import stream_windows as windows
from export.lowering import Patches, patched, patching, time_folded
from export.signature import Signature
from export.stream_attention import attention, self_attention
from export.stream_recurrent import inner_loop, recurrent, unseen
from export.stream_scope import Scope, Timing, active, entered, refuse
from export.tensors import where

Handler = Callable[..., Any]


def run_chunk(
    model: keras.Model, scope: Scope, inputs: Sequence[Any], signature: Signature, streams: Sequence[bool]
) -> Any:
    """Calls the model on a chunk of its flat inputs."""
    for x, stream in zip(inputs, streams, strict=True):
        scope.mark(x, Timing() if stream else None)
    args, kwargs = signature.pack(inputs)
    with streaming(scope):
        return model(*args, **kwargs, training=False)


@contextlib.contextmanager
def streaming(scope: Scope) -> Iterator[None]:
    """Inside, the layers called by this thread take their memory from the scope, and leave it there."""
    with patching, patched(_PATCHES), time_folded(), entered(scope):
        yield


def _layer_call(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        scope = active()
        if scope is None:
            return original(self, *args, **kwargs)
        with scope.entered(self, lambda *a, **k: original(self, *a, **k), args, kwargs) as frame:
            outputs = original(self, *args, **kwargs)
            scope.left(frame, outputs)
        return outputs

    return call


def _operation_call(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        scope = active()
        if scope is None:
            return original(self, *args, **kwargs)
        plain = lambda *a, **k: original(self, *a, **k)  # noqa: E731
        if isinstance(self, keras.layers.Layer):  # a layer was entered already, before its inputs were cast
            return _run(scope, self, plain, args, kwargs)
        with scope.entered(self, plain, args, kwargs) as frame:
            outputs = _run(scope, self, plain, args, kwargs)
            scope.left(frame, outputs)
        return outputs

    return call


def _run(scope: Scope, op: Any, call: Handler, args: Any, kwargs: Any) -> Any:
    timing = scope.frame.timing
    if scope.passive or timing is None or timing.folded:  # without a timing: no sequence that goes on
        with entered(scope if _holds_layers(op) else None):
            return call(*args, **kwargs)
    return _handler_of(scope, op)(scope, op, call, *args, **kwargs)


def is_known(op: Any) -> bool:
    """Whether it is known how this kind of layer or op runs chunk by chunk."""
    own = hasattr(op, "stream_call") or hasattr(op, "time_window")
    return own or _kind(op) not in (None, _item) or _holds_layers(op)


def _kind(op: Any) -> Handler | None:
    return next((HANDLERS[base] for base in type(op).__mro__ if base in HANDLERS), None)


def _holds_layers(op: Any) -> bool:
    """Whether an op is but the layers inside it; what the known kinds hold inside is no business of the stream's."""
    return bool(getattr(op, "_layers", None)) and _kind(op) is None


def _handler_of(scope: Scope, layer: Any) -> Handler:
    if id(layer) in scope.windows:
        return _found_window
    if hasattr(layer, "stream_call"):
        return _own_memory
    if hasattr(layer, "time_window"):
        return windows.own_window
    if hasattr(layer, "time_period"):
        return windows.every_nth
    return _kind(layer) or _by_itself


def _found_window(scope: Scope, op: Any, call: Handler, *args: Any, **kwargs: Any) -> Any:
    """A layer whose window was found by trying."""
    x, run = only_sequence(scope, op, call, args, kwargs)
    with entered(None):
        return windows.stream_window(scope, op, scope.windows[id(op)], x, run)


def only_sequence(scope: Scope, op: Any, call: Handler, args: Any, kwargs: Any) -> tuple[Any, Handler]:
    """-> (the one sequence among the arguments, the call as a function of it)."""
    flat = keras.tree.flatten((args, kwargs))
    places = [i for i, x in enumerate(flat) if tf.is_tensor(x) and not scope.is_constant(x) and len(x.shape) > 1]
    if len(places) != 1:
        raise refuse(op, "it mixes the steps of several sequences")

    def run(x: Any) -> Any:
        new_args, new_kwargs = keras.tree.pack_sequence_as(
            (args, kwargs), [*flat[: places[0]], x, *flat[places[0] + 1 :]]
        )
        return call(*new_args, **new_kwargs)

    return flat[places[0]], run


def _by_itself(scope: Scope, layer: Any, call: Handler, *args: Any, **kwargs: Any) -> Any:
    if _holds_layers(layer):
        return call(*args, **kwargs)
    with entered(None):  # what a layer without layers does is one thing
        outputs = call(*args, **kwargs)
    timings = [(x, scope.known(x)) for x in keras.tree.flatten((args, kwargs))]
    taken = [x.shape for x, timing in timings if timing is not None and not timing.folded]
    flat = [y for y in keras.tree.flatten(outputs) if tf.is_tensor(y)]
    for y in flat:
        if taken and scope.discovers and _is_shorter(y.shape, taken[0]):
            reason = "it gives fewer steps than it takes, so it needs several at once"
            raise refuse(layer, reason, unknown=True)
    if taken and any(_is_timeless(y.shape, taken[0]) for y in flat):  # as a last state: what is known after the chunk
        timing = scope.frame.timing
        scope.frame.result = [None if _is_timeless(y.shape, taken[0]) else timing for y in flat]
    return outputs


def _item(scope: Scope, op: Any, call: Handler, x: Any, key: Any) -> Any:
    """A slice. Of a mask, every n-th step is as `windows.every_nth`: so Keras thins a mask out beside its sequence."""
    if x.dtype == tf.bool and len(x.shape) == 2 and isinstance(key, tuple) and len(key) == 2:
        batch, time = key
        if batch == slice(None) and isinstance(time, slice) and (time.start, time.stop) == (None, None):
            period = 1 if time.step is None else time.step
            return x & windows.ticks(scope, op, x, period) if period > 1 else call(x, key)
    if isinstance(key, tuple) and key[:2] in ((slice(None), -1), (slice(None), slice(-1, None))):
        scope.frame.result = [None]  # as a last state
        return call(x, key)
    return _by_itself(scope, op, call, x, key)


def _is_timeless(given: tf.TensorShape, taken: tf.TensorShape) -> bool:
    """Whether an output has no time axis any more: the proof shows whether it is the last step's."""
    if None in (given.rank, taken.rank) or given.rank >= taken.rank or taken[1] is None:
        return False
    return bool(given.rank < 2 or (given[0] == taken[0] and given[1] not in (None, taken[1])))


def _is_shorter(given: tf.TensorShape, taken: tf.TensorShape) -> bool:
    """Whether an output has lost steps, so that each sees several."""
    if given.rank < 2 or given.rank < taken.rank or given[0] != taken[0] or None in (given[1], taken[1]):
        return False
    return bool(given[1] < taken[1])


def _inside_out_of_sight(scope: Scope, layer: Any, call: Handler, *args: Any, **kwargs: Any) -> Any:
    """Layers inside this one see no time axis."""
    with entered(None):
        return call(*args, **kwargs)


def _permute(scope: Scope, layer: Any, call: Handler, *args: Any) -> Any:
    if layer.dims[0] != 1:
        raise refuse(layer, "it moves the time axis; keep it the second")
    return _inside_out_of_sight(scope, layer, call, *args)


def _refuse(reason: str) -> Handler:
    def handler(scope: Scope, layer: Any, *_: Any, **__: Any) -> Any:
        raise refuse(layer, reason)

    return handler


def _own_memory(scope: Scope, layer: Any, call: Handler, x: Any, **kwargs: Any) -> Any:
    """A layer with `stream_state(inputs) -> initial state` and `stream_call(inputs, state) -> outputs, state`."""
    initial = layer.stream_state(x)
    flat = keras.tree.flatten(initial)
    suffixes = ["state"] if len(flat) == 1 else [f"state_{k}" for k in range(len(flat))]
    names = [scope.name(layer, suffix) for suffix in suffixes]
    state = [scope.read(name, value) for name, value in zip(names, flat, strict=True)]
    given = {"inputs": x}
    if "mask" in inspect.signature(layer.stream_call).parameters:
        given["mask"] = kwargs.get("mask")
    valid = windows.valid_mask(scope, layer, keras.tree.flatten(x)[0])
    outputs: list[Any] = []
    # One by one where some steps come before its first one: at those, nothing happened.
    for part in [given] if valid is None else _one_by_one(layer, given):
        with entered(None):
            part_of_x = part.pop("inputs")
            y, after = layer.stream_call(part_of_x, keras.tree.pack_sequence_as(initial, state), **part)
        new = keras.tree.flatten(after)
        if valid is not None:
            now = valid[:, len(outputs)]
            new = [where(now, a, b) for a, b in zip(new, state, strict=True)]
        state = new
        outputs.append(y)
    for name, value in zip(names, state, strict=True):
        scope.write(name, value)
    # An input that is handed through is a sequence of its own from here, with a mask of its own.
    return keras.tree.map_structure(lambda *ys: tf.concat(ys, axis=1) if ys[1:] else tf.identity(ys[0]), *outputs)


def _one_by_one(layer: Any, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Sequences, in any structure, as structures of one step each."""
    flat = keras.tree.flatten(given)
    steps = keras.tree.flatten(given["inputs"])[0].shape[1]
    if steps is None:
        raise refuse(layer, "steps come before its first one, and a chunk of any length can't be cut there")
    split = [[x] * steps if x is None else tf.split(x, steps, axis=1) for x in flat]
    return [keras.tree.pack_sequence_as(given, list(step)) for step in zip(*split, strict=True)]


def _no_length_check(original: Callable[..., Any]) -> Callable[..., Any]:
    def assert_input_compatibility(self: Any, *args: Any) -> None:
        # A model that was built for sequences of one length takes chunks of any.
        if active() is None:
            original(self, *args)

    return assert_input_compatibility


_FORGETS = "it needs the whole sequence at once"
HANDLERS: dict[type, Handler] = {
    keras.layers.RNN: recurrent,
    keras.layers.TimeDistributed: _inside_out_of_sight,
    keras.layers.Bidirectional: _refuse("it reads the sequence from both ends; use the forward layer alone"),
    keras.layers.MultiHeadAttention: self_attention,
    keras.layers.GroupQueryAttention: self_attention,
    keras.layers.Attention: attention,
    keras.layers.AdditiveAttention: attention,
    keras.layers.Conv1D: windows.convolution,
    keras.layers.Conv2D: windows.convolution,
    keras.layers.Conv3D: windows.convolution,
    keras.layers.DepthwiseConv1D: windows.convolution,
    keras.layers.DepthwiseConv2D: windows.convolution,
    keras.layers.SeparableConv1D: windows.convolution,
    keras.layers.SeparableConv2D: windows.convolution,
    keras.layers.Conv1DTranspose: _refuse("its windows overlap in the output; use UpSampling1D and Conv1D"),
    keras.layers.Conv2DTranspose: _refuse("its windows overlap in the output; use UpSampling2D and Conv2D"),
    keras.layers.MaxPooling1D: windows.pooling,
    keras.layers.AveragePooling1D: windows.pooling,
    keras.layers.MaxPooling2D: windows.pooling,
    keras.layers.AveragePooling2D: windows.pooling,
    keras.layers.GlobalAveragePooling1D: _refuse(f"it pools over time: {_FORGETS}; use the last state"),
    keras.layers.GlobalMaxPooling1D: _refuse(f"it pools over time: {_FORGETS}; use the last state"),
    keras.layers.GlobalAveragePooling2D: _refuse(f"it pools over time: {_FORGETS}; use the last state"),
    keras.layers.GlobalMaxPooling2D: _refuse(f"it pools over time: {_FORGETS}; use the last state"),
    keras.layers.Flatten: _refuse(f"it makes one vector of all steps: {_FORGETS}; use the last state"),
    keras.layers.Permute: _permute,
    Pad: windows.pad,
    GetItem: _item,
    keras.layers.ZeroPadding1D: windows.zero_padding,
    keras.layers.ZeroPadding2D: windows.zero_padding,
    keras.layers.Cropping1D: windows.cropping,
    keras.layers.Cropping2D: windows.cropping,
    keras.layers.UpSampling1D: windows.up_sampling,
    keras.layers.UpSampling2D: windows.up_sampling,
    keras.layers.STFTSpectrogram: windows.spectrogram,
    keras.layers.MelSpectrogram: _refuse("it centres its frames, so they look ahead; use STFTSpectrogram"),
}

_PATCHES: Patches = {
    (keras.layers.Layer, "__call__"): _layer_call,
    (keras.Operation, "__call__"): _operation_call,
    (keras.layers.RNN, "inner_loop"): inner_loop,
    (keras.layers.LSTM, "inner_loop"): inner_loop,
    (keras.layers.GRU, "inner_loop"): inner_loop,
    # Keras tries the cells of a stack on the first step, for the widths that their masks of dropout need.
    (keras.layers.RNN, "_maybe_config_dropout_masks"): unseen,
    (Functional, "_assert_input_compatibility"): _no_length_check,
}
