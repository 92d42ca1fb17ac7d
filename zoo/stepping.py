"""A model that was trained on whole sequences, as a function of one token and explicit states."""

from collections.abc import Collection, Mapping
from typing import Any

import keras
from keras import ops

from zoo.layers import AttentionRNN, TiedEmbedding
from zoo.tokens import IMPOSSIBLE

TOKEN_INPUTS = ("token_ids", "decoder_token_ids")
"""What the input that a model writes its own output to is called."""
# They take one step without an axis of time as well: fewer ops in a loop. Exact types, since a subclass may not.
_WITHOUT_TIME = (keras.layers.Dense, keras.layers.Dropout, keras.layers.Embedding, TiedEmbedding)
States = Any
"""Nested tuples of tensors, the batch in front of each."""


class Stepper:
    """A step function made of a model: `(token_ids (batch,), states) -> (logits (batch, vocabulary), states)`.

    What does not depend on the tokens (the encoder, the picture's features) runs once, in `start`. Each step then runs
    the rest on one token, recurrent layers by their cells. It shares the model's weights, and runs in any graph.

    Works for functional models with an input `token_ids` or `decoder_token_ids`, whose layers, but for recurrent ones,
    treat each step by itself.

    Attributes:
        token_input: Which of the model's inputs takes the tokens.
    """

    def __init__(self, model: keras.Model, forbidden: Collection[int] = ()) -> None:
        """Takes the model apart.

        Args:
            model: A language model, an encoder-decoder, a captioner; built with Keras's functional interface.
            forbidden: Tokens that are made impossible, such as those that stand for no text.

        Raises:
            ValueError: The model is not functional, has no input for tokens or no logits, or reads the future; or a
                forbidden token is none of its vocabulary.
        """
        graph = getattr(model, "_functional", model)
        if not hasattr(graph, "_nodes_by_depth"):
            raise ValueError(f"{model.name} can't be run step by step: it is not built with the functional interface")
        self._token = _token_input(model)
        self.token_input = str(self._token.name)
        self._inputs = {tensor.name: tensor for tensor in model.inputs if tensor is not self._token}
        self._logits = _logits(model)
        size = self._logits.shape[-1]
        if strange := sorted(set(forbidden) - set(range(size))):
            raise ValueError(f"forbidden tokens are ids below {size}, the size of the vocabulary, got {strange[0]}")
        self._offset = [IMPOSSIBLE if token in forbidden else 0.0 for token in range(size)] if forbidden else None
        nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]
        self._before, self._during = _split(nodes, self._token, self._logits)
        made = {id(tensor) for node in self._during for tensor in node.outputs} | {id(self._token)}
        used = [tensor for node in self._during for tensor in node.input_tensors if id(tensor) not in made]
        self._constants = list({id(tensor): tensor for tensor in used}.values())
        self._recurrent = [node for node in self._during if isinstance(node.operation, keras.layers.RNN)]
        for node in self._during:
            _refuse_the_future(model, node.operation)

    def start(self, inputs: Mapping[str, Any] | None = None, *, batch_size: Any = None) -> States:
        """Gives the states before the first step.

        Args:
            inputs: The model's other inputs by name, such as `encoder_token_ids`.
            batch_size: Number of rows, where there are no other inputs.

        Returns:
            The states, to be passed on from step to step.

        Raises:
            ValueError: An input is missing, or there are none and no batch size either.
        """
        inputs = inputs or {}
        if missing := [name for name in self._inputs if name not in inputs]:
            raise ValueError(f"start needs a value for {', '.join(map(repr, missing))}, got {sorted(inputs)}")
        if not self._inputs and batch_size is None:
            raise ValueError("start needs batch_size=: the model has no inputs beside its tokens")
        values = {id(t): ops.convert_to_tensor(inputs[name], dtype=t.dtype) for name, t in self._inputs.items()}
        for node in self._before:
            args, kwargs = node.arguments.fill_in(values)
            _keep(values, node, _call(node.operation, args, kwargs))
        if self._inputs:
            batch_size = ops.shape(values[id(next(iter(self._inputs.values())))])[0]
        constants = tuple(values[id(tensor)] for tensor in self._constants)
        return constants, tuple(_first_states(node, values, batch_size) for node in self._recurrent)

    def __call__(self, token_ids: Any, states: States) -> tuple[Any, States]:
        """Takes one step.

        Args:
            token_ids: (batch,) int32.
            states: What `start` or the last step gave.

        Returns:
            Logits (batch, vocabulary), and the states after the step.
        """
        constants, recurrent = states
        values = {id(tensor): value for tensor, value in zip(self._constants, constants, strict=True)}
        token_ids = ops.cast(token_ids, self._token.dtype)
        values[id(self._token)] = _as_sequence(token_ids)
        single = {id(self._token): token_ids}  # the same without the axis of time, where a layer gave it so
        remaining, after = list(recurrent), []
        for node in self._during:
            if isinstance(node.operation, keras.layers.RNN):
                args, _ = node.arguments.fill_in(values)
                x = single.get(id(node.input_tensors[0]))
                outputs, new, output = _step(node.operation, args, args[0][:, 0] if x is None else x, remaining.pop(0))
                after.append(new)
                single[id(node.outputs[0])] = output
            elif _takes_single(node, single):
                args, kwargs = node.arguments.fill_in({**values, **single})
                output = ops.copy(_call(node.operation, args, kwargs))  # without the mask, which cells warn of
                single[id(node.outputs[0])] = output
                outputs = _as_sequence(output)
            else:
                args, kwargs = node.arguments.fill_in(values)
                outputs = _call(node.operation, args, kwargs)
            _keep(values, node, outputs)
        logits = single.get(id(self._logits), values[id(self._logits)])
        logits = ops.reshape(logits, (-1, logits.shape[-1]))
        if self._offset is not None:
            logits = ops.cast(logits, "float32") + ops.convert_to_tensor(self._offset, "float32")
        return logits, (constants, tuple(after))


def _token_input(model: keras.Model) -> Any:
    found = [tensor for tensor in model.inputs if tensor.name in TOKEN_INPUTS]
    if len(found) != 1:
        names = ", ".join(repr(tensor.name) for tensor in model.inputs)
        wanted = " or ".join(map(repr, TOKEN_INPUTS))
        raise ValueError(f"{model.name} must have one input {wanted} to be run token by token, it has {names}")
    return found[0]


def _logits(model: keras.Model) -> Any:
    names = list(model.output_names)
    if "logits" not in names:
        raise ValueError(f"{model.name} has no output 'logits', but {', '.join(map(repr, names))}")
    return model.outputs[names.index("logits")]


def _split(nodes: list[Any], token: Any, logits: Any) -> tuple[list[Any], list[Any]]:
    """-> (what runs before the first token, what runs at each token), of all that the logits need."""
    wanted, needed = {id(logits)}, []
    for node in reversed(nodes):
        if not node.is_input and any(id(tensor) in wanted for tensor in node.outputs):
            wanted |= {id(tensor) for tensor in node.input_tensors}
            needed.append(node)
    live, before, during = {id(token)}, [], []
    for node in reversed(needed):
        if any(id(tensor) in live for tensor in node.input_tensors):
            live |= {id(tensor) for tensor in node.outputs}
            during.append(node)
        else:
            before.append(node)
    return before, during


def _refuse_the_future(model: keras.Model, layer: Any) -> None:
    backwards = isinstance(layer, keras.layers.Bidirectional) or getattr(layer, "go_backwards", False)
    if backwards or isinstance(layer, keras.Model):
        why = "reads its sequence backwards" if backwards else "is a model of its own: call its layers directly"
        raise ValueError(f"{model.name} can't be run token by token: layer {layer.name!r} {why}")


def _keep(values: dict[int, Any], node: Any, outputs: Any) -> None:
    for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
        values[id(tensor)] = value


def _call(layer: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if getattr(layer, "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": False}
    return layer(*args, **kwargs)


def _takes_single(node: Any, single: Mapping[int, Any]) -> bool:
    alone = len(node.input_tensors) == 1 and id(node.input_tensors[0]) in single
    return alone and type(node.operation) in _WITHOUT_TIME


def _first_states(node: Any, values: Mapping[int, Any], batch_size: Any) -> tuple[Any, ...]:
    layer, given = node.operation, node.arguments.kwargs.get("initial_state")
    if given is not None:
        given = [ops.cast(values[id(tensor)], layer.compute_dtype) for tensor in keras.tree.flatten(given)]
    zeros = keras.tree.flatten(layer.get_initial_state(batch_size))
    if given is None:
        return tuple(zeros)
    # An initial state leaves out what always starts at zero: the last attentional vector of input feeding.
    return (*zeros[: len(zeros) - len(given)], *given)


def _as_sequence(x: Any) -> Any:
    """(batch, ...) -> (batch, 1, ...). A reshape, since LiteRT's fast kernels have no expand_dims."""
    return ops.reshape(x, (-1, 1, *x.shape[1:]))


def _step(layer: Any, args: tuple[Any, ...], x: Any, flat: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], Any]:
    """Runs a recurrent layer on x (batch, features): -> (what it gives, its states, its output of this step)."""
    states = keras.tree.pack_sequence_as(layer.state_size, list(flat))
    if isinstance(layer, AttentionRNN):
        (attentional, weights), new = layer.step(x, states, *args[1:])
        return (attentional, weights), tuple(keras.tree.flatten(new)), ops.reshape(attentional, (-1, layer.cell.units))
    output, new = _call(layer.cell, (x, states), {})
    after = tuple(keras.tree.flatten(new))
    outputs = _as_sequence(output) if layer.return_sequences else output
    return ((outputs, *after) if layer.return_state else outputs), after, output
