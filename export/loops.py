"""The recurrence as a while loop over time, with all that does not depend on the state hoisted out of it.

A built-in cell's input projection `x W + b` is one matrix product for the whole sequence; the loop's body does only the
recurrent product and the gates.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from export.recurrence import CellRun, States
from export.tensors import dims, reshape, where

Step = Callable[[tf.Tensor, States], tuple[tf.Tensor, States]]
Projection = Callable[[tf.Tensor], tf.Tensor]
Product = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Loop:
    """A loop over time, ready to run.

    Attributes:
        step: (projected input, states) -> (output, states).
        project: (time, batch, ...) -> (time, batch, ...): what the step takes of many inputs at once.
        xs: (time, batch, ...) inputs, not yet projected.
        time: How many they are.
        states: Initial states.
        count: (batch,) steps of each row, or None for all.
        keep_states: Whether the final states are wanted, of each row after its own last step.
        kernel_bytes: Size of the weights that each step reads; None where that is not known.
        few_ops: The cell's activations are an op or a few each.
    """

    step: Step
    project: Projection
    xs: tf.Tensor
    time: Any
    states: States
    count: tf.Tensor | None
    keep_states: bool
    kernel_bytes: int | None = None
    few_ops: bool = False

    @property
    def steps(self) -> Any:
        """How many steps the longest row has.

        To be read outside the loop: asked in its condition, the inputs would be copied there at each step.
        """
        return self.time if self.count is None else tf.reduce_max(self.count)

    @property
    def invariants(self) -> list[tf.TensorShape]:
        """The states' shapes over the loop; the batch is as dynamic as the inputs'."""
        batch = self.xs.shape[1]
        return [tf.TensorShape([batch, *s.shape[1:]] if s.shape.rank else []) for s in self.states]

    def advance(self, x: tf.Tensor, t: Any, states: States, limit: Any = None) -> tuple[tf.Tensor, States]:
        """Step t, on its input; where t has reached the limit, of all rows or of each, the states are held."""
        output, new = self.step(x, states)
        if limit is not None and self.keep_states:
            new = [where(t < limit, after, before) for after, before in zip(new, states, strict=True)]
        return output, new


class Collect(Protocol):
    """Runs a loop and collects its outputs; the part in which the runtimes differ."""

    def __call__(self, loop: Loop, output: tf.TensorSpec) -> tuple[tf.Tensor, States]:
        """-> (outputs (time, batch, ...), final states); `output` describes one step's output (batch, ...)."""


Finish = Callable[[Loop], States]


def flat_product(xs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """(time, batch, features) -> xs kernel + bias (time, batch, units), as one 2-D product, not one for each step."""
    time, batch, features = dims(xs)
    z = tf.matmul(reshape(xs, [-1, features]), kernel)
    z = z if bias is None else tf.nn.bias_add(z, bias)  # TensorFlow runs the two as one op
    return reshape(z, [time, batch, kernel.shape[-1]])


def whole_product(xs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """`flat_product` without the reshapes: LiteRT's converter makes one FULLY_CONNECTED of inputs of any rank."""
    z = tf.matmul(xs, kernel)
    return z if bias is None else z + bias


class LoopEngine:
    """Runs a cell as a while loop, its input projection hoisted where the cell's equations are known.

    Args:
        collect: How outputs are collected.
        product: The projection of many steps' inputs.
        finish: How final states are reached where no outputs are wanted; `final_states` where left out.
    """

    def __init__(self, collect: Collect, product: Product = flat_product, finish: Finish | None = None) -> None:
        self._collect = collect
        self._product = product
        self._finish = finish or final_states

    def form(self, cell: Any) -> tuple[str, str]:
        """-> (the form that this cell takes, why it is not the hoisted one)."""
        if type(cell) in _HOIST:
            return "while loop, input projection hoisted", ""
        return "while loop", f"{type(cell).__name__} is no built-in cell, so the loop holds the whole of it"

    def __call__(self, run: CellRun) -> tuple[tf.Tensor | None, tf.Tensor, States]:
        """Runs the loop; see `recurrence.Engine`."""
        step, project = parts(run, self._product)
        loop = Loop(step, project, run.xs, run.time, run.states, run.count, run.keep_states)
        if type(run.cell) in _HOIST:  # the output is the first state
            size = 4 * math.prod(run.cell.recurrent_kernel.shape)
            loop = dataclasses.replace(loop, kernel_bytes=size, few_ops=_has_few_ops(run.cell))
            output = tf.TensorSpec([run.xs.shape[1], run.cell.units], run.states[0].dtype)
        else:
            output = _output_spec(step, run.xs, run.states)
        if run.outputs:
            outputs, states = self._collect(loop, output)
            return outputs, outputs[-1], states
        if type(run.cell) in _HOIST:
            states = self._finish(dataclasses.replace(loop, keep_states=True))
            return None, states[0], states
        zeros = tf.zeros([dims(run.xs)[1], *output.shape[1:]], output.dtype)
        carrying = dataclasses.replace(loop, step=_carrying_output(step), states=[zeros, *run.states], keep_states=True)
        last, *states = self._finish(carrying)
        return None, last, states


def parts(run: CellRun, product: Product) -> tuple[Step, Projection]:
    """-> (the part of the cell that stays in the loop, what all steps can do at once before it)."""
    if type(run.cell) in _HOIST:
        hoisted = _HOIST[type(run.cell)](run.cell)
        return hoisted.step, lambda xs: product(xs, hoisted.kernel, hoisted.bias)

    def whole_cell(x: tf.Tensor, states: States) -> tuple[tf.Tensor, States]:
        output, new = run.cell(x, keras.tree.pack_sequence_as(run.nested, states))
        return output, keras.tree.flatten(new)

    return whole_cell, lambda xs: xs


def _output_spec(step: Step, xs: tf.Tensor, states: States) -> tf.TensorSpec:
    """What one step gives. The ops that this adds to the graph feed nothing, and are pruned."""
    output, _ = step(xs[0], states)
    return tf.TensorSpec(output.shape, output.dtype)


def _carrying_output(step: Step) -> Step:
    def carrying(x: tf.Tensor, states: States) -> tuple[tf.Tensor, States]:
        output, new = step(x, states[1:])
        return output, [output, *new]

    return carrying


def final_states(loop: Loop) -> States:
    """Runs a loop of which the final states are all that is wanted."""
    steps, inputs = loop.steps, loop.project(loop.xs)

    def body(t: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (t + 1, *loop.advance(tf.gather(inputs, t), t, list(states), loop.count)[1])

    _, *final = tf.while_loop(
        lambda t, *_: t < steps,
        body,
        (tf.constant(0), *loop.states),
        shape_invariants=(tf.TensorShape([]), *loop.invariants),
    )
    return list(final)


def collect_in_array(loop: Loop, output: tf.TensorSpec) -> tuple[tf.Tensor, States]:
    """Collects in a TensorArray: TensorFlow's own way; ONNX makes it a Loop's scan output."""
    size, inputs = loop.time, loop.project(loop.xs)
    array = tf.TensorArray(output.dtype, size=size, element_shape=output.shape)

    def body(t: tf.Tensor, array: tf.TensorArray, *states: tf.Tensor) -> tuple[Any, ...]:
        y, new = loop.advance(tf.gather(inputs, t), t, list(states), loop.count)
        return (t + 1, array.write(t, y), *new)

    _, array, *final = tf.while_loop(
        lambda t, *_: t < size,
        body,
        (tf.constant(0), array, *loop.states),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape(None), *loop.invariants),
    )
    return array.stack(), final


@dataclasses.dataclass(frozen=True)
class Hoisted:
    """A cell in two parts: z = x kernel + bias for all steps at once, then `step(z_t, states)`."""

    kernel: tf.Tensor
    bias: tf.Tensor | None
    step: Step


def _tensor(variable: Any) -> Any:
    return None if variable is None else tf.convert_to_tensor(variable)


def _hoist_lstm(cell: keras.layers.LSTMCell) -> Hoisted:
    recurrent = _tensor(cell.recurrent_kernel)

    def step(z: tf.Tensor, states: States) -> tuple[tf.Tensor, States]:
        h, c = states
        zi, zf, zc, zo = tf.split(z + tf.matmul(h, recurrent), 4, axis=-1)
        i, f, o = (cell.recurrent_activation(gate) for gate in (zi, zf, zo))
        c = f * c + i * cell.activation(zc)
        h = o * cell.activation(c)
        return h, [h, c]

    return Hoisted(_tensor(cell.kernel), _tensor(cell.bias), step)


_ACTIVATIONS = keras.activations
# Activations that give numbers of a state's own size.
_SMALL = (_ACTIVATIONS.tanh, _ACTIVATIONS.sigmoid, _ACTIVATIONS.hard_sigmoid, _ACTIVATIONS.softsign)
_OF_FEW_OPS = (*_SMALL, _ACTIVATIONS.relu, _ACTIVATIONS.linear, _ACTIVATIONS.elu)


def _has_few_ops(cell: Any) -> bool:
    activations = (cell.activation, getattr(cell, "recurrent_activation", cell.activation))
    return all(activation in _OF_FEW_OPS for activation in activations)  # no sets: a callable may have no hash


def _blend_small(update: tf.Tensor, h: tf.Tensor, candidate: tf.Tensor) -> tf.Tensor:
    """(1 - update) candidate + update h, with an op less."""
    return candidate + update * (h - candidate)


def _blend(update: tf.Tensor, h: tf.Tensor, candidate: tf.Tensor) -> tf.Tensor:
    """The same as Keras has it: a state that is kept is not rounded to a large candidate's digits."""
    return update * h + (1 - update) * candidate


def blend_of(cell: keras.layers.GRUCell) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """How the cell mixes (update gate, h, candidate) to its new state."""
    return _blend_small if cell.activation in _SMALL else _blend


def _hoist_gru(cell: keras.layers.GRUCell) -> Hoisted:
    units = cell.units
    recurrent, bias = _tensor(cell.recurrent_kernel), _tensor(cell.bias)
    # reset_after keeps two biases, (2, 3 units): the input's and the recurrent product's.
    input_bias, recurrent_bias = (bias[0], bias[1]) if bias is not None and cell.reset_after else (bias, None)

    blend = blend_of(cell)

    # Equal parts: LiteRT's fast kernels know SPLIT, not SPLIT_V, and each op that they lack interrupts them.
    def reset_after(z: tf.Tensor, states: States) -> tuple[tf.Tensor, States]:
        (h,) = states
        inner = tf.matmul(h, recurrent)
        inner = inner if recurrent_bias is None else inner + recurrent_bias
        xz, xr, xn = tf.split(z, 3, axis=-1)
        hz, hr, hn = tf.split(inner, 3, axis=-1)
        update, reset = cell.recurrent_activation(xz + hz), cell.recurrent_activation(xr + hr)
        candidate = cell.activation(xn + reset * hn)
        h = blend(update, h, candidate)
        return h, [h]

    def reset_before(z: tf.Tensor, states: States) -> tuple[tf.Tensor, States]:
        (h,) = states
        xz, xr, xn = tf.split(z, 3, axis=-1)
        hz, hr = tf.split(tf.matmul(h, recurrent[:, : 2 * units]), 2, axis=-1)
        update, reset = cell.recurrent_activation(xz + hz), cell.recurrent_activation(xr + hr)
        candidate = cell.activation(xn + tf.matmul(reset * h, recurrent[:, 2 * units :]))
        h = blend(update, h, candidate)
        return h, [h]

    return Hoisted(_tensor(cell.kernel), input_bias, reset_after if cell.reset_after else reset_before)


def _hoist_simple(cell: keras.layers.SimpleRNNCell) -> Hoisted:
    recurrent = _tensor(cell.recurrent_kernel)

    def step(z: tf.Tensor, states: States) -> tuple[tf.Tensor, States]:
        h = cell.activation(z + tf.matmul(states[0], recurrent))
        return h, [h]

    return Hoisted(_tensor(cell.kernel), _tensor(cell.bias), step)


# Exact types: a subclass may compute something else.
_HOIST: dict[type, Callable[[Any], Hoisted]] = {
    keras.layers.LSTMCell: _hoist_lstm,
    keras.layers.GRUCell: _hoist_gru,
    keras.layers.SimpleRNNCell: _hoist_simple,
}
