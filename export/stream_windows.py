"""Layers that see a window of past steps (convolutions, pooling, frames): a ring of past inputs is their state."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from export.stream_scope import Scope, Timing, refuse
from export.tensors import dims, reshape


@dataclasses.dataclass(frozen=True)
class Window:
    """Output j is a function of the inputs j * stride - left ... j * stride - left + size - 1; zeros before the first.

    Attributes:
        size: Steps that one output sees.
        stride: Steps from one output to the next.
        left: Zeros before the first step.
        skipped: A layer that puts these zeros there itself: its first outputs on a chunk, which see them and not the
            past; so many of them, that the chunk is given with `skipped * stride` more steps of the past.
    """

    size: int
    stride: int = 1
    left: int = 0
    skipped: int = 0


def stream_window(scope: Scope, layer: Any, window: Window, x: tf.Tensor, run: Callable[[tf.Tensor], Any]) -> Any:
    """Runs a windowed layer on a chunk.

    A chunk gives one output for each `stride` of its steps: the last whose window is complete. Where whole windows are
    only complete some steps later (`left` is too small), the first outputs come before any full window: the warm-up.

    Args:
        scope: The call.
        layer: Names the state.
        window: What one output sees.
        x: (batch, steps, ...), steps a multiple of the stride.
        run: Gives the outputs of all full windows of its input, which starts at a window's start.
    """
    timing = scope.frame.timing or Timing()
    if timing.period > 1:  # tried again with the steps between left out
        raise refuse(timing.ticks, f"layer {layer.name!r} sees several of the steps that it keeps", unknown=True)
    credit = max(0, -timing.warmup)  # zeros that a padding layer put before the first step
    left = window.left + credit
    if left >= window.size and left > 0:
        raise refuse(layer, f"{left} zeros stand before the first step, but it sees {window.size} steps only")
    incoming, stride = max(0, timing.warmup), window.stride
    # Whole window j starts at step j * stride - left behind the warm-up, and is complete in this many chunks more:
    warmup = -(-(incoming + window.size - left - stride) // stride)
    if incoming and left:
        x = tf.where(_valid_steps(scope, layer, x, incoming), x, tf.zeros_like(x))
    past = warmup * stride - incoming + (credit + window.skipped * stride if window.skipped else left)
    steps = dims(x)[1]
    x = with_past(scope, scope.name(layer, "past"), x, past) if past > 0 else x[:, -past:]
    outputs = run(x)[:, window.skipped : window.skipped + steps // stride]
    scope.frame.result = [Timing(timing.rate / stride, warmup)]
    return outputs


def with_past(scope: Scope, name: str, x: tf.Tensor, past: int) -> tf.Tensor:
    """The last steps before the chunk, then the chunk: (batch, past + steps, ...). Keeps the last for the next one."""
    if not past:
        return x
    shape = dims(x)
    before = scope.read(name, tf.zeros([shape[0], past, *shape[2:]], x.dtype))
    together = tf.concat([before, x], axis=1)
    scope.write(name, together[:, -past:])
    return together


def valid_mask(scope: Scope, layer: Any, x: tf.Tensor) -> tf.Tensor | None:
    """(batch, steps) bool: which steps are behind the warm-up; None where there is none.

    Raises:
        NotCausalError: Zeros were put before the first step.
    """
    timing = scope.frame.timing
    if timing is None or timing.warmup == 0:
        return None
    if timing.warmup < 0:
        raise refuse(layer, f"{-timing.warmup} steps were put before the first one, which never come in a stream")
    return reshape(_valid_steps(scope, layer, x, timing.warmup), dims(x)[:2])


def _valid_steps(scope: Scope, layer: Any, x: tf.Tensor, warmup: int) -> tf.Tensor:
    """(batch, steps, 1 ...) bool, by a state that counts the steps so far up to the warm-up."""
    batch, steps = dims(x)[:2]
    name = scope.name(layer, "seen")
    seen = scope.read(name, tf.zeros([batch, 1], tf.int32))
    scope.write(name, tf.minimum(seen + steps, warmup))
    valid = seen + tf.range(steps)[tf.newaxis] >= warmup
    return reshape(valid, [batch, steps, *[1] * (len(x.shape) - 2)])


def convolution(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    """Conv1D and its kin with time as the first axis of space."""
    if layer.data_format == "channels_first":
        raise refuse(layer, "time is not the second axis with data_format='channels_first'")
    kernel, stride, dilation = (_first(size) for size in (layer.kernel_size, layer.strides, layer.dilation_rate))
    size = (kernel - 1) * dilation + 1
    if layer.padding == "same" and size > 1:
        causal = isinstance(layer, keras.layers.Conv1D)
        instead = "padding='causal'" if causal else "padding='valid', with zeros put in front of the first step"
        raise refuse(layer, f"padding='same' looks ahead; use {instead}")
    if layer.padding == "same" and stride == 1:
        return call(x)
    left = size - 1 if layer.padding == "causal" else 0
    return stream_window(scope, layer, Window(size, stride, left), x, lambda y: _unpadded(layer, call, y))


def pooling(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    """MaxPooling1D and its kin."""
    if layer.data_format == "channels_first":
        raise refuse(layer, "time is not the second axis with data_format='channels_first'")
    size, stride = _first(layer.pool_size), _first(layer.strides)
    if layer.padding == "same" and size > stride:
        raise refuse(layer, "padding='same' looks ahead; use padding='valid'")
    if size == stride == 1:
        return call(x)
    return stream_window(scope, layer, Window(size, stride), x, lambda y: _unpadded(layer, call, y))


def spectrogram(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    """keras.layers.STFTSpectrogram."""
    if layer.padding != "valid" or layer.data_format == "channels_first":
        raise refuse(layer, "its frames look ahead, or time is not the second axis; use padding='valid', channels_last")
    window = Window(layer.frame_length, layer._frame_step)
    return stream_window(scope, layer, window, x, call)


def own_window(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    """Any layer that says so by an attribute `time_window`: (size, stride)."""
    size, stride = layer.time_window
    return stream_window(scope, layer, Window(size, stride), x, call)


def pad(scope: Scope, op: Any, call: Callable[..., Any], x: tf.Tensor, *args: Any, **kwargs: Any) -> Any:
    """keras.ops.pad, as `zero_padding`."""
    (before, after), *others = op.pad_width[1:]
    if op.mode != "constant" or args or any(kwargs.values()) or any(op.pad_width[0]):
        raise refuse(op, "it puts something else than zeros before the first step")
    if after:
        raise refuse(op, f"it puts {after} steps after the last one, and a stream has no last one")
    timing = scope.frame.timing or Timing()
    scope.frame.result = [Timing(timing.rate, timing.warmup - before)]
    return tf.pad(x, [(0, 0), (0, 0), *others])


def zero_padding(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    """Zeros before the first step: the next layer's window starts in them, so nothing is to be done for a chunk."""
    before, after, without = _time_padding(layer.padding)
    if after:
        raise refuse(layer, f"it puts {after} steps after the last one, and a stream has no last one")
    timing = scope.frame.timing or Timing()
    scope.frame.result = [Timing(timing.rate, timing.warmup - before)]
    if len(x.shape) == 3:
        return tf.identity(x)
    with changed(layer, padding=without):
        return call(x)


def cropping(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    """First steps cut off count as warm-up."""
    before, after, without = _time_padding(layer.cropping)
    if after:
        raise refuse(layer, f"it cuts {after} steps off before the last one, and a stream has no last one")
    timing = scope.frame.timing or Timing()
    scope.frame.result = [Timing(timing.rate, timing.warmup + before)]
    if len(x.shape) == 3:
        return tf.identity(x)
    with changed(layer, cropping=without):
        return call(x)


def every_nth(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor, **_: Any) -> Any:
    """A layer that keeps one step in `time_period`, which is an attribute: the others are masked.

    What recurs behind it then holds its state and its output over them, as a layer that undoes the thinning out does.
    """
    if layer.time_period == 1:
        return call(x)
    outer, y = keras.src.backend.get_keras_mask(x), tf.identity(x)
    mask = ticks(scope, layer, x, layer.time_period)
    keras.src.backend.set_keras_mask(y, mask if outer is None else mask & tf.cast(outer, tf.bool))
    return y


def ticks(scope: Scope, op: Any, x: tf.Tensor, period: int) -> tf.Tensor:
    """(batch, steps) bool: the steps that an op keeps, one in `period`; by a state that counts."""
    timing = scope.frame.timing or Timing()
    if timing.warmup < 0:
        raise refuse(op, f"{-timing.warmup} steps were put before the first one, which never come in a stream")
    if timing.period > 1:
        raise refuse(op, "it thins out a second time; keep fewer steps at once")
    batch, steps = dims(x)[:2]
    name = scope.name(op, "phase")
    phase = scope.read(name, tf.fill([batch], tf.constant(-timing.warmup % period, tf.int32)))
    scope.write(name, (phase + steps) % period)
    scope.frame.result = [dataclasses.replace(timing, period=period, ticks=op)]
    return (tf.expand_dims(phase, 1) + tf.range(steps)[tf.newaxis]) % period == 0


def up_sampling(scope: Scope, layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    """UpSampling1D and 2D: more steps for each."""
    timing = scope.frame.timing or Timing()
    size = _first(layer.size)
    scope.frame.result = [Timing(timing.rate * size, timing.warmup * size)]
    return call(x)


def stride_of(layer: Any) -> int:
    """Steps of the layer's input for one step of its output."""
    if hasattr(layer, "time_window"):
        return int(layer.time_window[1])
    if isinstance(layer, keras.layers.STFTSpectrogram):
        return int(layer._frame_step)
    strides = getattr(layer, "strides", 1)
    return 1 if strides is None else _first(strides)


def _first(size: Any) -> int:
    return int(size[0] if isinstance(size, (tuple, list)) else size)


def _time_padding(padding: Any) -> tuple[int, int, Any]:
    """-> (before the first step, after the last, the padding without both)."""
    pairs = padding if isinstance(padding[0], (tuple, list)) else (padding,)
    (before, after), *others = pairs
    return before, after, ((0, 0), *others)


def _unpadded(layer: Any, call: Callable[..., Any], x: tf.Tensor) -> Any:
    with changed(layer, padding="valid"):
        return call(x)


@contextlib.contextmanager
def changed(layer: Any, **values: Any) -> Iterator[None]:
    """Inside, some attributes of a layer have other values."""
    before = {name: getattr(layer, name) for name in values}
    try:
        for name, value in values.items():
            setattr(layer, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(layer, name, value)
