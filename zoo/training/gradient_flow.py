"""Records how much of the gradient reaches each step: vanishing and exploding, to be seen."""

from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.training.rewiring import rewire

Array = np.ndarray[Any, np.dtype[Any]]


def state_gradients(model: keras.Model, x: Any, y: Any, sample_weight: Any = None) -> dict[str, Array]:
    """Gives the derivative of the loss by the hidden state of each recurrent layer at each step.

    It is the whole derivative, through every later step. Each state gets an addend that is zero; the loss's derivative
    by it is what is wanted, and Keras computes it on any backend in an ordinary training step that changes no weight.
    Layers whose output is not their state, such as a decoder with input feeding, are left out.

    Args:
        model: A compiled functional or Sequential model.
        x: A batch of inputs, as `fit` takes it.
        y: Its targets.
        sample_weight: Its weights.

    Returns:
        Layer name -> dL/dh_t, (batch, time, units), in the order of the input; 0 at padding. The directions of a
        bidirectional layer are called `<layer>/forward_...` and `<layer>/backward_...`.

    Raises:
        ValueError: The model is not functional or not compiled, or has no such layer.
    """
    return _Probed(model, x).measure(x, y, sample_weight)


class GradientFlow(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Records the norm of dL/dh_t over t for each recurrent layer, on one batch, as training goes on.

    `history` gets a dictionary after each recorded epoch: `epoch`, and `norms`, layer name -> (time,): the norm of the
    derivative of the batch's loss by all hidden states at step t together. Plot it over t on a logarithmic axis: a
    straight line down to the left is a vanishing gradient (Bengio, Simard & Frasconi 1994, doi:10.1109/72.279181).
    """

    def __init__(self, x: Any, y: Any, sample_weight: Any = None, *, every: int = 1) -> None:
        """Makes the callback.

        Args:
            x: A batch of inputs.
            y: Its targets.
            sample_weight: Its weights.
            every: Record after every so many epochs, and before the first (as epoch -1).

        Raises:
            ValueError: `every` is less than 1.
        """
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.batch = (x, y, sample_weight)
        self.every = every
        self.history: list[dict[str, Any]] = []
        self._probed: _Probed | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Builds the model that measures, and measures."""
        self.history = []
        self._probed = _Probed(self.model, self.batch[0])
        self._record(-1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measures."""
        if (epoch + 1) % self.every == 0:
            self._record(epoch)

    def _record(self, epoch: int) -> None:
        assert self._probed is not None
        gradients = self._probed.measure(*self.batch)
        norms = {name: np.sqrt((value.astype(np.float64) ** 2).sum(axis=(0, 2))) for name, value in gradients.items()}
        self.history.append({"epoch": epoch, "norms": norms})


class _Probed:
    """A model that shares a model's weights, with a probe at each state."""

    def __init__(self, model: keras.Model, x: Any) -> None:
        if not model.compiled:
            raise ValueError(f"{model.name} has no loss to take the gradient of: compile it first")
        self._original = model
        self._probes: dict[str, Any] = {}
        shapes = {tensor.name: np.shape(value) for tensor, value in zip(model.inputs, _flat(model, x), strict=True)}
        self._model = rewire(model, self._replace, lambda tensor: shapes[tensor.name])
        if not self._probes:
            raise ValueError(f"{model.name} has no recurrent layer whose output is its state")
        weights = model.get_compile_config().get("loss_weights")
        self._model.compile(
            _NoUpdate(), loss=model.loss, loss_weights=weights, jit_compile=False, auto_scale_loss=False
        )

    def _replace(self, layer: Any) -> Any:
        if isinstance(layer, keras.layers.Bidirectional) and _is_state(layer.forward_layer):
            both = type(layer).from_config(layer.get_config())
            for side in ("forward_layer", "backward_layer"):
                own = getattr(layer, side)
                setattr(both, side, self._probe(own, f"{layer.name}/{own.name}"))
            return both
        return self._probe(layer, layer.name) if _is_state(layer) else layer

    def _probe(self, layer: Any, name: str) -> Any:
        self._probes[name] = _ProbedRNN(layer)
        return self._probes[name]

    def measure(self, x: Any, y: Any, sample_weight: Any) -> dict[str, Array]:
        """-> layer name -> dL/dh_t."""
        _sync(self._original)
        before = [(weight, ops.convert_to_numpy(weight)) for weight in self._original.variables]
        for layer in self._probes.values():
            layer.probe.assign(np.zeros(layer.probe.shape))
        self._model.train_on_batch(x, y, sample_weight)
        _sync(self._model)
        gradients = {name: ops.convert_to_numpy(layer.probe) for name, layer in self._probes.items()}
        # A training step moves more than the weights: statistics, seeds of dropout.
        for weight, value in before:
            weight.assign(value)
        return gradients


def _flat(model: keras.Model, x: Any) -> list[Any]:
    return [x[tensor.name] for tensor in model.inputs] if isinstance(x, dict) else keras.tree.flatten(x)


def _sync(model: keras.Model) -> None:
    """With JAX the values of a model in training are elsewhere; its trainer writes them back when asked."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def _is_state(layer: Any) -> bool:
    """Whether a layer's output is what its first state begins with: only then an addend reaches all that reads it."""
    if not isinstance(layer, keras.layers.RNN) or type(layer).call not in _PLAIN_CALLS:
        return False
    cell = layer.cell
    states = layer.get_initial_state(1)
    if any(len(state.shape) != 2 for state in keras.tree.flatten(states)) or not cell.built:
        return False
    width = _input_width(cell)
    if width is None:
        return False
    output, new = cell(ops.ones((1, width), dtype=layer.compute_dtype), states)
    state = _first(new)
    # A state may hold earlier outputs behind the last one.
    return state.shape[-1] >= output.shape[-1] and bool(ops.all(output == state[:, : output.shape[-1]]))


_PLAIN_CALLS = {layer.call for layer in (keras.layers.RNN, keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU)}


def _input_width(cell: Any) -> int | None:
    kernel = getattr(cell.cells[0] if hasattr(cell, "cells") else cell, "kernel", None)
    return None if kernel is None else int(kernel.shape[0])


def _first(states: Any) -> Any:
    """The hidden state at the top of a layer: of stacked cells, that of the last."""
    states = states if isinstance(states, (list, tuple)) else [states]
    nested = isinstance(states[-1], (list, tuple))
    return states[-1][0] if nested else states[0]


class _NoUpdate(keras.optimizers.Optimizer):  # type: ignore[misc]  # keras ships no types
    """Changes nothing: what counts is that Keras hands probes their gradients."""

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0, name="no_update")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Leaves the variable as it is."""


class _ProbedCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A cell that reads, behind its input, what to add to its state."""

    def __init__(self, cell: Any, units: int) -> None:
        super().__init__(name=cell.name, dtype=cell.dtype_policy)
        self.cell, self.units, self.state_size, self.output_size = cell, units, cell.state_size, units
        self.built = True

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        """Takes one step: (batch, features + units) and the states."""
        kwargs = {"training": training} if self.cell._call_has_training_arg else {}
        output, new = self.cell(inputs[:, : -self.units], states, **kwargs)
        output = output + inputs[:, -self.units :]
        new = list(new) if isinstance(new, (list, tuple)) else [new]
        state = ops.concatenate([output, _first(new)[:, self.units :]], axis=-1)
        if isinstance(new[-1], (list, tuple)):
            new[-1] = [state, *new[-1][1:]]
        else:
            new[0] = state
        return output, new

    def get_initial_state(self, batch_size: Any = None) -> Any:
        """Gives the first states of the cell."""
        return self.cell.get_initial_state(batch_size)


class _ProbedRNN(keras.layers.RNN):  # type: ignore[misc]  # keras ships no types
    """A recurrent layer with a probe, (batch, time, units), added to its states; it takes the probe's gradient."""

    def __init__(self, layer: Any) -> None:
        names = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
        width = int(_first(layer.get_initial_state(1)).shape[-1])
        self.units = int(getattr(layer.cell, "output_size", None) or width)
        cell = _ProbedCell(layer.cell, self.units)
        super().__init__(cell, name=layer.name, dtype=layer.dtype_policy, **{n: getattr(layer, n) for n in names})

    def build(self, sequences_shape: tuple[int, ...], initial_state_shape: Any = None) -> None:
        """Makes the probe, which starts at zero."""
        super().build(sequences_shape)
        shape = (*sequences_shape[:2], self.units)
        self.probe = self.add_weight(shape=shape, name="probe", initializer="zeros", dtype="float32")
        # Keras writes the gradient itself into such a variable, instead of letting the optimizer use it.
        self.probe.overwrite_with_gradient = True

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """Runs over time."""
        probed = ops.concatenate([sequences, ops.cast(self.probe, sequences.dtype)], axis=-1)
        return super().call(probed, initial_state=initial_state, mask=mask, training=training)

    def _maybe_config_dropout_masks(self, cell: Any, sequence: Any, state: Any) -> None:
        if cell is self.cell:
            cell, sequence = cell.cell, sequence[:, : -self.units]
        super()._maybe_config_dropout_masks(cell, sequence, state)

    def _maybe_reset_dropout_masks(self, cell: Any) -> None:
        super()._maybe_reset_dropout_masks(cell.cell if cell is self.cell else cell)
