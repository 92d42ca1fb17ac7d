"""A Keras model with its recurrent layers lowered, as one TensorFlow function of flat, named tensors."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.domains import input_domains
from export.errors import ExportError, first_line
from export.inference import inference_form
from export.lowering import LayerNote, Lowering, lowered
from export.ports import TEXT, Port, identifiers
from export.signature import Signature, candidate_signatures, output_names


@dataclasses.dataclass(frozen=True)
class Traced:
    """A model as a graph.

    Attributes:
        model: The Keras model.
        function: Takes the inputs by the names in `arguments`; returns a dict of the outputs by name.
        signature: The model's inputs.
        outputs: The model's outputs.
        notes: How each recurrent layer was lowered.
        variables: What the function reads. A function itself does not keep them alive.
    """

    model: keras.Model
    function: tf.types.experimental.ConcreteFunction
    signature: Signature
    outputs: tuple[Port, ...]
    notes: tuple[LayerNote, ...]
    variables: tuple[tf.Variable, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", tuple(self.function.variables))

    @property
    def arguments(self) -> dict[str, str]:
        """Input name -> the name of the function's argument."""
        names = [port.name for port in self.signature.inputs]
        return dict(zip(names, identifiers(names), strict=True))


def trace(
    model: keras.Model,
    lowering: Lowering,
    input_signature: Any = None,
    *,
    batch: int | None = None,
    time: int | None = None,
) -> Traced:
    """Traces a model with the most general signature that it takes, but for the sizes that are given.

    Raises:
        ExportError: The inputs are unknown, or the model cannot be traced.
    """
    failure: Exception | None = None
    signatures = list(candidate_signatures(model, input_signature))
    with inference_form(model):
        for signature in signatures:
            try:
                _build(model, signature)
                traced = _with_token_ids(_trace(model, lowering, signature.with_sizes(batch, time)), lowering)
                return _fixed(traced, lowering, batch, time)
            except ExportError:
                raise
            except Exception as error:  # a model may raise anything on a shape that it does not take
                failure = failure or error
    raise ExportError(f"model {model.name!r} cannot be traced: {first_line(failure or RuntimeError())}") from failure


def retraced(traced: Traced, lowering: Lowering) -> Traced:
    """The same model and signature with another lowering."""
    with inference_form(traced.model):
        return _trace(traced.model, lowering, traced.signature)


def _fixed(traced: Traced, lowering: Lowering, batch: int | None, time: int | None) -> Traced:
    """Where tokens opened an axis again: with the sizes that are given."""
    signature = traced.signature.with_sizes(batch, time)
    return traced if signature == traced.signature else _trace(traced.model, lowering, signature)


def _with_token_ids(traced: Traced, lowering: Lowering) -> Traced:
    """Where Keras remembers an input's shape only, one that is looked up in a table takes integers."""
    if traced.signature.declared:
        return traced
    domains = input_domains(traced.function, traced.arguments)
    indices = {name for name, domain in domains.items() if domain.size is not None}
    if not indices:
        return traced
    try:
        return _trace(traced.model, lowering, traced.signature.with_token_ids(indices, dynamic_time=True))
    except Exception:  # unrolled layers, say, want a static time axis
        return _trace(traced.model, lowering, traced.signature.with_token_ids(indices, dynamic_time=False))


def _build(model: keras.Model, signature: Signature) -> None:
    """Calls a model that was never called: its variables must exist before the trace."""
    if model.built:
        return
    zeros = [
        np.zeros([size or (1 if i == 0 else 2) for i, size in enumerate(p.shape)], "S1" if p.dtype == TEXT else p.dtype)
        for p in signature.inputs
    ]
    args, kwargs = signature.pack(zeros)
    model(*args, **kwargs, training=False)


def _trace(model: keras.Model, lowering: Lowering, signature: Signature) -> Traced:
    names: list[str] = []
    arguments = identifiers([port.name for port in signature.inputs])

    def call(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        args, kwargs = signature.pack([tensors[argument] for argument in arguments])
        outputs = model(*args, **kwargs, training=False)
        names[:] = output_names(model, outputs)
        # Each output through its own op: an input handed through, or one tensor twice, still gets its own name.
        return {name: tf.identity(y) for name, y in zip(names, keras.tree.flatten(outputs), strict=True)}

    specs = {
        argument: tf.TensorSpec(port.shape, port.dtype, name=argument)
        for argument, port in zip(arguments, signature.inputs, strict=True)
    }
    with lowered(lowering) as notes:
        function = tf.function(call, autograph=False).get_concrete_function(**specs)
    outputs = tuple(
        Port(name, tuple(function.structured_outputs[name].shape), function.structured_outputs[name].dtype.name)
        for name in names
    )
    return Traced(model, function, signature, outputs, tuple(notes))
