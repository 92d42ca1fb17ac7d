"""What a model that runs chunk by chunk remembers between chunks, and what is known of its sequences meanwhile."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.errors import ExportError
from export.ports import identifiers
from export.tensors import dims, reshape


class NotCausalError(ExportError):
    """The model can't run step by step; says which layer stands in the way, and why.

    Attributes:
        op: The layer or op, where its window of past steps may be found by trying; None where that is of no use.
    """

    def __init__(self, message: str, op: Any = None) -> None:
        super().__init__(message)
        self.op = op


def refuse(layer: Any, reason: str, *, unknown: bool = False) -> NotCausalError:
    """The error that names the layer; `unknown` where nothing is known of the kind of layer."""
    text = f"layer {layer.name!r} ({type(layer).__name__}) can't be streamed: {reason}"
    return NotCausalError(text, layer if unknown else None)


@dataclasses.dataclass(frozen=True)
class StateSpec:
    """One state: its name, its shape without the batch axis, its dtype, and its value before the first step."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    initial: np.ndarray


@dataclasses.dataclass(frozen=True)
class Timing:
    """How a sequence inside the model runs beside the model's input.

    Attributes:
        rate: Its steps for each step of the input; 1/160 after frames of 160 samples.
        warmup: Its first steps that the whole sequence does not have: they come before a first full window.
            Below zero, that many zeros stand before the first step (ZeroPadding1D).
        folded: Its steps are folded into the batch axis, as frames are for a convolution.
        period: One step in so many counts; a stream masks the others, and what follows holds still over them.
        ticks: The layer or op that made it so.
    """

    rate: Fraction = Fraction(1)
    warmup: int = 0
    folded: bool = False
    period: int = 1
    ticks: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class Frame:
    """One call of a layer or op: what runs, at which timing, and the timing of what it gives.

    Attributes:
        op: The layer or op.
        timing: Its input's; None where no input is a sequence that goes on from chunk to chunk.
        result: Its outputs', one each; None to hand the input's on.
        initial_state_given: A recurrent layer whose caller gave the first state.
    """

    op: Any
    timing: Timing | None
    result: "list[Timing | None] | None" = None
    initial_state_given: bool = False


class Scope:
    """The memory of one call of a model on a chunk.

    Args:
        states: The states before the chunk, by name; None to find out which there are.
        windows: Windows that were found by trying, by the id of the layer or op.
        folds: By the id of each layer or op, whether it gives its steps folded into the batch axis; None to find out,
            from a batch of one.
        passive: Layers run as Keras has them; only the record is kept.

    Attributes:
        new: The states after the chunk.
        specs: The states that were asked for.
        rates: The rates of all sequences seen.
        culprit: The innermost layer or op that raised an error.
        refusal: The error, where it is this module's.
        record: Called with each op and its outputs.
        wanted: A layer or op whose first call is to be caught.
        caught: That call: the function, its arguments and keyword arguments.
    """

    def __init__(
        self,
        states: dict[str, Any] | None,
        *,
        windows: dict[int, Any] | None = None,
        folds: dict[int, bool] | None = None,
        passive: bool = False,
    ) -> None:
        self._states = states
        self.windows = windows or {}
        self.folds = folds or {}
        self._sees_folds = folds is None and not passive
        self.passive = passive
        self._timings: dict[int, tuple[Any, Timing | None]] = {}
        self._latest: Timing | None = Timing()
        self._frames: list[Frame] = []
        self._names: dict[str, int] = {}
        self.new: dict[str, Any] = {}
        self.specs: list[StateSpec] = []
        self.rates: set[Fraction] = set()
        self.culprit: Any = None
        self.refusal: NotCausalError | None = None
        self.record: Callable[[Any, Any], None] | None = None
        self.wanted: Any = None
        self.caught: tuple[Callable[..., Any], Any, Any] | None = None

    @property
    def discovers(self) -> bool:
        """Whether this call is to find out which states there are."""
        return self._states is None

    @property
    def frame(self) -> Frame:
        """The innermost call."""
        return self._frames[-1]

    def name(self, layer: Any, suffix: str) -> str:
        """A name for a state of this call of the layer: `gru_h`, in a second call `gru_h_1`.

        An identifier, whatever the layer's name holds: a SavedModel's signature takes no other.
        """
        (name,) = identifiers([f"{layer.name}_{suffix}"])
        number = self._names[name] = self._names.get(name, -1) + 1
        return f"{name}_{number}" if number else name

    def read(self, name: str, initial: tf.Tensor) -> tf.Tensor:
        """The state before the chunk; `initial` (batch, ...) is what it is before the first step."""
        if self._states is None:
            row = np.asarray(initial)[0]
            self.specs.append(StateSpec(name, tuple(row.shape), row.dtype.name, row))
            return initial
        state = tf.cast(self._states[name], initial.dtype)
        # A loop wants its states as it makes them: the batch as static, or as open, as the sequence's.
        return state if state.shape == initial.shape else reshape(state, dims(initial))

    def write(self, name: str, value: tf.Tensor) -> None:
        """Keeps the state after the chunk."""
        self.new[name] = value

    def mark(self, tensor: Any, timing: Timing | None) -> None:
        """Notes a tensor's timing; None for one that does not go on from chunk to chunk."""
        self._timings[id(tensor)] = (tensor, timing)  # the tensor is held, so that no later one gets its id
        if timing is not None:
            self._latest = timing
            self.rates.add(timing.rate)

    def timing_of(self, tensors: Any) -> Timing | None:
        """The timing that the tensors share.

        Raises:
            NotCausalError: They differ.
        """
        flat = [tensor for tensor in keras.tree.flatten(tensors) if tf.is_tensor(tensor)]
        known = [self._timings[id(tensor)][1] for tensor in flat if id(tensor) in self._timings]
        timings = list(dict.fromkeys(timing for timing in known if timing is not None))
        timings = [timing for timing in timings if not timing.folded] or timings
        # Beside a sequence of all steps, the held ones of a slower one count as steps again.
        timings = [timing for timing in timings if timing.period == 1] or timings
        if len(timings) > 1:
            raise refuse(
                self.frame.op, "its inputs come with different delays; cut the earlier ones off (Cropping1D) to align"
            )
        if timings:
            return timings[0]
        # Ops between layers leave no trace: what they give most likely runs as what was there last.
        return None if len(known) == len(flat) else self._latest

    def known(self, tensor: Any) -> Timing | None:
        """The tensor's timing, as far as it is known."""
        return self._timings.get(id(tensor), (None, None))[1]

    def is_constant(self, tensor: Any) -> bool:
        """Whether the tensor is known not to go on from chunk to chunk."""
        return id(tensor) in self._timings and self.known(tensor) is None

    @contextlib.contextmanager
    def entered(self, op: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Iterator[Frame]:
        """Around the call of a layer or op."""
        frame = Frame(op, None)
        self._frames.append(frame)
        try:
            frame.timing = self.timing_of((args, kwargs))
            if op is self.wanted:
                self.caught = self.caught or (call, args, kwargs)
            yield frame
        except Exception as error:
            self.culprit = self.culprit or op
            self._note(error)
            raise
        finally:
            self._frames.pop()

    def _folded(self, frame: Frame, timing: Timing | None, tensor: Any) -> Timing | None:
        """The timing of an op's output, with what is known or, on the first run, seen of its folding."""
        if timing is None or self.passive:
            return timing
        if self._sees_folds:  # one sequence, so a longer first axis can only be time
            self.folds[id(frame.op)] = tensor.shape[0] != 1
        return dataclasses.replace(timing, folded=self.folds.get(id(frame.op), timing.folded))

    def _note(self, error: Exception) -> None:
        if isinstance(error, NotCausalError):  # Keras would raise a copy, with its own words around
            self.refusal = self.refusal or error

    def left(self, frame: Frame, outputs: Any) -> None:
        """After the call: its outputs get their timing."""
        flat = [tensor for tensor in keras.tree.flatten(outputs) if tf.is_tensor(tensor)]
        if frame.timing is not None and not self.passive and any(0 in y.shape[1:2] for y in flat):
            raise refuse(frame.op, "it gives nothing for a short chunk", unknown=True)
        for tensor, timing in zip(flat, frame.result or [frame.timing] * len(flat), strict=True):
            if frame.result is not None or id(tensor) not in self._timings:
                self.mark(tensor, self._folded(frame, timing, tensor))
        if self.record is not None:
            self.record(frame.op, outputs)


class _Active(threading.local):
    scope: Scope | None = None


_active = _Active()


def active() -> Scope | None:
    """The scope of this thread's call; None outside of one, and inside the step of a recurrent layer."""
    return _active.scope


@contextlib.contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Inside, the scope is this thread's; None suspends the one that was."""
    outer, _active.scope = _active.scope, scope
    try:
        yield
    finally:
        _active.scope = outer
