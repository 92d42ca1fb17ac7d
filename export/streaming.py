"""A whole-sequence model as a step model: (chunk, states) -> (outputs, states)."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export import saved_model
from export.domains import input_domains
from export.errors import ExportError, first_line
from export.inference import inference_form
from export.stream_layers import run_chunk
from export.stream_proof import prove
from export.stream_scope import NotCausalError, Scope, StateSpec, refuse
from export.stream_search import find_window
from export.stream_windows import Window, stride_of
from export.trace import Traced, trace

States = dict[str, tf.Tensor]
# Of the chunk that shows what each op does to time; a number that is rarely that of features, which would look alike.
_HOPS = 11
_SEQUENCE = 3  # axes of most sequences: batch, time, features


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a model runs chunk by chunk.

    Attributes:
        traced: The whole-sequence model as a graph.
        streams: Which of its inputs, by their place, come in chunks; the others are given whole each time.
        hop: A chunk has this many steps of input, or a multiple of it: the model's strides multiplied.
        specs: The states.
        rates: For each output, by its place: its steps for `hop` steps of input. None for an output without a time
            axis, which tells what is known after the chunk.
        warmup: For each output, by its place: how many first steps come before a first full window, and are not among
            the whole sequence's outputs.
        windows: The windows of layers and ops of unknown kind, found by trying, by their id.
        folds: Whether a layer or op gives its steps folded into the batch axis, by its id.
    """

    traced: Traced
    streams: tuple[bool, ...]
    hop: int
    specs: tuple[StateSpec, ...] = ()
    rates: tuple[int | None, ...] = ()
    warmup: tuple[int, ...] = ()
    windows: dict[int, Window] = dataclasses.field(default_factory=dict)
    folds: dict[int, bool] | None = None


@keras.saving.register_keras_serializable(package="seqzoo")
class StreamingModel(keras.Model):  # type: ignore[misc]  # keras ships no types
    """A causal model that runs on a sequence chunk by chunk, its memory handed in and out.

    `outputs, states = step(chunk, states)`, first with `step.initial_states(batch)`. A chunk is
    (batch, steps, features), its steps a multiple of `step.plan.hop`. Shares the model's weights. Made by
    `export.to_streaming`.

    Attributes:
        model: The whole-sequence model.
        plan: How it runs.
    """

    def __init__(self, model: keras.Model, plan: Plan, **options: Any) -> None:
        super().__init__(autocast=False, **{"name": f"{model.name}_step", **options})
        self.model = model
        self._plan = (plan,)  # inside a tuple, Keras does not look for layers in it
        self.built = True

    @property
    def plan(self) -> Plan:
        """How the model runs chunk by chunk."""
        return self._plan[0]

    def initial_states(self, batch: int = 1) -> States:
        """The states before the first step, by name; each (batch, ...)."""
        if tf.executing_eagerly():
            self.read_first_states()
        return {spec.name: tf.constant(np.repeat(spec.initial[None], batch, axis=0)) for spec in self.plan.specs}

    def read_first_states(self) -> None:
        """Asks the layers anew how they begin: they may have learned it since, or been loaded."""
        scope, _ = _run_on_zeros(self.plan, self.plan.hop)
        self._plan = (dataclasses.replace(self.plan, specs=tuple(scope.specs)),)

    def call(self, inputs: Any, states: Mapping[str, Any] | None = None) -> tuple[Any, States]:
        """Runs one chunk.

        Args:
            inputs: What the model takes, its sequences cut to the chunk; or a tuple of that and the states.
            states: What `initial_states` or the chunk before gave.

        Returns:
            The model's outputs for the chunk, and the states after it.

        Raises:
            ValueError: The chunk's length is no multiple of the plan's hop, or a state is missing.
        """
        if states is None:
            inputs, states = inputs
        flat = keras.tree.flatten(inputs)
        self._check(flat, states)
        with _stateless(self.model):
            scope = Scope(dict(states), windows=self.plan.windows, folds=self.plan.folds)
            outputs = run_chunk(self.model, scope, flat, self.plan.traced.signature, self.plan.streams)
        return outputs, {spec.name: tf.cast(scope.new[spec.name], spec.dtype) for spec in self.plan.specs}

    def _check(self, inputs: list[Any], states: Mapping[str, Any]) -> None:
        for x, stream in zip(inputs, self.plan.streams, strict=True):
            if stream and x.shape[1] is not None and (not x.shape[1] or x.shape[1] % self.plan.hop):
                raise ValueError(
                    f"{self.name} takes chunks of {self.plan.hop} steps or a multiple, not of {x.shape[1]}"
                )
        for spec in self.plan.specs:
            if spec.name not in states:
                raise ValueError(f"{self.name} needs the state {spec.name!r}; start with initial_states(batch)")

    def get_config(self) -> dict[str, Any]:
        """The whole-sequence model, of which all else follows."""
        return {"name": self.name, "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "StreamingModel":
        """Makes the step model again."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(model, to_streaming(model).plan, name=config["name"])


def to_streaming(model: keras.Model, *, input_signature: Any = None) -> StreamingModel:
    """Turns a causal model into a step model, and proves that chunk by chunk equals the whole sequence.

    Recurrent layers hand their states on, causal convolutions and pooling a ring of past inputs, frames their samples,
    attention within a bounded window the steps that it may still see; all else must treat each step by itself. A
    layer of one's own takes part by an attribute `time_window = (size, stride)`, where each output is a function of
    `size` steps; by an attribute `time_period = n`, where it keeps one step in n for recurrent layers behind it; or by
    methods `stream_state(inputs) -> state` and `stream_call(inputs, state) -> (outputs, state)`, which takes `mask=`
    where its parameters name it.

    Args:
        model: Any Keras model.
        input_signature: For a model whose inputs Keras does not know, as in `export_model`.

    Returns:
        The step model; it shares the model's weights.

    Raises:
        NotCausalError: A layer looks ahead or needs the whole sequence; names it.
        ExportError: The model's inputs are unknown, or none has a time axis.
    """
    if isinstance(model, StreamingModel):
        model.read_first_states()
        return model
    traced = trace(model, saved_model.lowering(), input_signature)
    choices, failures = _choices(traced), []
    for streams in choices:
        try:
            step = _made(model, Plan(traced, streams, _strides(model)))
        except NotCausalError as error:
            failures.append(error)
            continue
        # One of several choices is right only if something runs along with its sequences.
        if len(choices) == 1 or any(rate is not None for rate in step.plan.rates):
            return step
    if failures:
        raise failures[0]
    raise NotCausalError(f"model {model.name!r} can't be streamed: none of its outputs runs along with an input")


def _made(model: keras.Model, plan: Plan) -> StreamingModel:
    """The step model, with the windows of layers of unknown kind as they are found by trying."""
    while True:
        try:
            step = StreamingModel(model, _discover(plan))
            _prove(model, step)
            return step
        except NotCausalError as error:
            if error.op is None or id(error.op) in plan.windows:
                raise
            window = find_window(plan, error.op)
            if window is None:
                raise
            if isinstance(window, str):
                raise refuse(error.op, window) from None
            hop = plan.hop * window.stride
            plan = dataclasses.replace(plan, hop=hop, windows={**plan.windows, id(error.op): window})


def _prove(model: keras.Model, step: StreamingModel) -> None:
    try:
        prove(model, step.plan, step)
    except NotCausalError:
        raise
    except Exception as error:  # a model may raise anything on random inputs
        raise NotCausalError(
            f"model {model.name!r} can't be streamed: it fails on random inputs, so nothing can be proven: "
            f"{first_line(error)}"
        ) from error


def _choices(traced: Traced) -> list[tuple[bool, ...]]:
    """Which inputs may be the sequences, the likeliest choice first; the others are the same at all steps.

    An input is a sequence if its second axis is open; if none is, where others follow it, or entries are looked up, or
    it may be the mask of such a one. Sequences run side by side, so those of a fixed size have one length. A picture
    looks like a sequence of rows.
    """
    domains, ports = input_domains(traced.function, traced.arguments), traced.signature.inputs
    found = [port for port in ports if len(port.shape) > 1 and port.shape[1] is None]
    if not found:
        found = [p for p in ports if len(p.shape) > 2 or (len(p.shape) == 2 and domains[p.name].size is not None)]
        steps = {port.shape[1] for port in found}
        found += [p for p in ports if p not in found and p.dtype == "bool" and p.shape[1:] in {(n,) for n in steps}]
    if not found:
        names = ", ".join(repr(port.name) for port in ports)
        raise ExportError(
            f"model {traced.model.name!r} has no input with a time axis to stream; its inputs are {names}"
        )
    found = [port for port in found if port.shape[1] != 1] or found
    flat = {port for port in found if len(port.shape) <= _SEQUENCE}
    groups = [[port for port in found if port.shape[1] == n] for n in dict.fromkeys(port.shape[1] for port in found)]
    groups += [fewer for group in groups if (fewer := [port for port in group if port in flat])]
    groups.sort(key=lambda group: not flat.intersection(group))
    return list(dict.fromkeys(tuple(port in group for port in ports) for group in groups))


def _strides(model: keras.Model) -> int:
    """A chunk that is surely long enough for all strides."""
    return math.prod(stride_of(layer) for layer in model._flatten_layers())


def _discover(plan: Plan) -> Plan:
    """Runs the model on zeros, to see which states there are and how the outputs run beside the inputs."""
    scope, _ = _run_on_zeros(plan, _HOPS * plan.hop)
    hop = math.lcm(*(rate.denominator for rate in scope.rates))
    plan = dataclasses.replace(plan, hop=hop, folds=scope.folds)
    _, once = _run_on_zeros(plan, hop)
    scope, several = _run_on_zeros(plan, _HOPS * hop)
    rates: list[int | None] = []
    warmup: list[int] = []
    for short, long in zip(once, several, strict=True):
        grows = len(short.shape) > 1 and long.shape[1] != short.shape[1]
        rates.append(int(long.shape[1] - short.shape[1]) // (_HOPS - 1) if grows else None)
        timing = scope.timing_of(long) if grows else None
        if timing is not None and timing.period > 1:  # tried again with the steps between left out
            raise refuse(timing.ticks, "nothing fills the steps between those that it keeps", unknown=True)
        if timing is not None and timing.warmup < 0:
            raise NotCausalError(f"model {plan.traced.model.name!r} puts steps before the first one; a stream has none")
        warmup.append(timing.warmup if timing is not None else 0)
    return dataclasses.replace(plan, specs=tuple(scope.specs), rates=tuple(rates), warmup=tuple(warmup))


def _run_on_zeros(plan: Plan, steps: int) -> tuple[Scope, list[Any]]:
    model, ports = plan.traced.model, plan.traced.signature.inputs
    scope, inputs = Scope(None, windows=plan.windows, folds=plan.folds), []
    for port, stream in zip(ports, plan.streams, strict=True):
        shape = [1, *(size or 8 for size in port.shape[1:])]
        if stream:
            shape[1] = steps
        inputs.append(tf.zeros(shape, port.dtype) if port.dtype != "bool" else tf.ones(shape, tf.bool))
    try:
        with inference_form(model):
            outputs = run_chunk(model, scope, inputs, plan.traced.signature, plan.streams)
    except Exception as error:  # a model may raise anything on a shape that it does not take
        if scope.refusal is not None:
            raise scope.refusal from None
        said = re.sub(r"\{\{.*?\}\} *", "", str(error))  # TensorFlow's own names of nodes
        reason = f"it fails on a chunk of {steps} steps: {first_line(ValueError(said))}"
        raise refuse(scope.culprit or model, reason, unknown=True) from error
    return scope, keras.tree.flatten(outputs)


@contextlib.contextmanager
def _stateless(model: keras.Model) -> Iterator[None]:
    """Inside, no layer keeps a state of its own."""
    layers = [layer for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    try:
        for layer in layers:
            layer.stateful = False
        yield
    finally:
        for layer in layers:
            layer.stateful = True
