"""Keras's recurrent cells as ONNX's LSTM, GRU and RNN operators.

tf2onnx knows no recurrent layers, only TensorFlow ops. So each recurrence is traced as ONE CudnnRNNV3 op. It is a
marker that never runs (and needs no GPU): it has the right shapes, and its `seed` attribute carries the key of a `Node`
here, from which the handler below makes the ONNX operator.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.loops import LoopEngine, collect_in_array
from export.lowering import Lowering
from export.masking import before_masking
from export.recurrence import CellRun, Compactions, Recurrence, Result, States, cells_of, zeroes_in_time_order
from export.tensors import time_major, where

MARKER = "CudnnRNNV3"

_KERAS = keras.activations
# Keras activation -> (ONNX name, alpha, beta). relu6, selu, silu, gelu ... have no counterpart; the operators' Softplus
# is infinite from 89 on, in onnxruntime.
_ACTIVATIONS: dict[Any, tuple[str, float | None, float | None]] = {
    _KERAS.tanh: ("Tanh", None, None),
    _KERAS.sigmoid: ("Sigmoid", None, None),
    _KERAS.relu: ("Relu", None, None),
    _KERAS.linear: ("Affine", 1.0, 0.0),
    _KERAS.hard_sigmoid: ("HardSigmoid", 1 / 6, 0.5),
    _KERAS.elu: ("Elu", 1.0, None),
    _KERAS.softsign: ("Softsign", None, None),
    _KERAS.leaky_relu: ("LeakyRelu", 0.2, None),
}
# Cell -> (operator, Keras's place of each gate in ONNX's order: LSTM i f c o -> i o f c; GRU z r h is the same).
_OPERATORS: dict[type, tuple[str, tuple[int, ...]]] = {
    keras.layers.LSTMCell: ("LSTM", (0, 3, 1, 2)),
    keras.layers.GRUCell: ("GRU", (0, 1, 2)),
    keras.layers.SimpleRNNCell: ("RNN", (0,)),
}


@dataclasses.dataclass(frozen=True)
class Node:
    """One ONNX recurrent operator: weights (directions, gates * units, ...), as ONNX wants them, and attributes."""

    operator: str
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    attributes: dict[str, Any]
    has_lengths: bool = False
    has_states: bool = True

    @property
    def state_count(self) -> int:
        """h, and for the LSTM c."""
        return 2 if self.operator == "LSTM" else 1


def why_not(cell: Any) -> str:
    """Why ONNX has no operator for this cell; empty where it has one."""
    if type(cell) not in _OPERATORS:
        return f"ONNX has no operator for {type(cell).__name__}"
    lacking = [getattr(f, "__name__", str(f)) for f in _activations(cell) if not _is_known(f)]
    return f"ONNX's {_OPERATORS[type(cell)][0]} has no activation {lacking[0]!r}" if lacking else ""


def _activations(cell: Any) -> list[Any]:
    if type(cell) is keras.layers.SimpleRNNCell:
        return [cell.activation]
    gates_and_candidate = [cell.recurrent_activation, cell.activation]
    return [*gates_and_candidate, cell.activation] if type(cell) is keras.layers.LSTMCell else gates_and_candidate


def _is_known(activation: Any) -> bool:
    return getattr(activation, "__hash__", None) is not None and activation in _ACTIVATIONS


def node_of(cell: Any) -> Node:
    """The operator with the cell's weights. Only for cells for which `why_not` is empty."""
    operator, order = _OPERATORS[type(cell)]

    def reorder(weights: np.ndarray) -> np.ndarray:
        gates = np.split(weights, len(order), axis=-1)
        return np.concatenate([gates[place] for place in order], axis=-1)

    kernel, recurrent = _value(cell.kernel), _value(cell.recurrent_kernel)
    bias = _value(cell.bias) if cell.use_bias else np.zeros(len(order) * cell.units, np.float32)
    # ONNX has two biases, the input's and the recurrent one, as Keras has for reset_after only.
    both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    known = [_ACTIVATIONS[activation] for activation in _activations(cell)]
    attributes: dict[str, Any] = {
        "hidden_size": cell.units,
        "activations": [name for name, _, _ in known],
        "activation_alpha": [alpha for _, alpha, _ in known if alpha is not None],
        "activation_beta": [beta for _, _, beta in known if beta is not None],
        "direction": "forward",
    }
    if operator == "GRU":
        attributes["linear_before_reset"] = int(cell.reset_after)  # the same thing under another name
    return Node(
        operator=operator,
        kernel=reorder(kernel).T[None],
        recurrent=reorder(recurrent).T[None],
        bias=np.concatenate([reorder(both[0]), reorder(both[1])])[None],
        attributes={key: value for key, value in attributes.items() if value != []},
    )


def _value(variable: Any) -> np.ndarray:
    with tf.init_scope():  # outside the graph that is being traced
        return np.asarray(variable.numpy(), np.float32)


def both_directions(forward: Node, backward: Node) -> Node:
    """One bidirectional operator of two."""
    listed = {key: value * 2 for key, value in forward.attributes.items() if isinstance(value, list)}
    return dataclasses.replace(
        forward,
        kernel=np.concatenate([forward.kernel, backward.kernel]),
        recurrent=np.concatenate([forward.recurrent, backward.recurrent]),
        bias=np.concatenate([forward.bias, backward.bias]),
        attributes={**forward.attributes, **listed, "direction": "bidirectional"},
    )


class OnnxEngine:
    """Runs a cell as an ONNX operator, or as a Loop where ONNX has none. See `recurrence.Engine`.

    Attributes:
        nodes: The operators of the markers traced so far, by key.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._loop = LoopEngine(collect_in_array)

    def form(self, cell: Any) -> tuple[str, str]:
        """-> (the form that this cell takes, why it is not the operator)."""
        reason = why_not(cell)
        return ("Loop", reason) if reason else (f"{_OPERATORS[type(cell)][0]} operator", "")

    def __call__(self, run: CellRun) -> tuple[tf.Tensor | None, tf.Tensor, States]:
        """Traces one operator."""
        if why_not(run.cell):
            return self._loop(run)
        outputs, last, final = self.mark(node_of(run.cell), run.xs, [run.states], run.count, zero=run.zero_state)
        return outputs, last[0], final[0]

    def mark(
        self, node: Node, xs: tf.Tensor, states: list[States], count: tf.Tensor | None, *, zero: bool
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[States]]:
        """Traces the marker of an operator.

        Args:
            node: The operator.
            xs: (time, batch, features).
            states: Initial states of each direction.
            count: (batch,) steps of each row, or None for all.
            zero: The initial states are all zeros: they are left out of the file.

        Returns:
            Outputs (time, batch, directions * units), and for each direction the last output (without meaning for a
            row without steps) and the final states.
        """
        key = len(self.nodes) + 1
        self.nodes[key] = dataclasses.replace(node, has_lengths=count is not None, has_states=not zero)
        stacked = [_join([tf.cast(s[i], tf.float32) for s in states]) for i in range(node.state_count)]
        outputs, *new = tf.raw_ops.CudnnRNNV3(
            input=tf.cast(xs, tf.float32),
            input_h=stacked[0],
            input_c=stacked[-1],
            params=tf.zeros([1]),
            sequence_lengths=tf.fill([tf.shape(xs)[1]], tf.shape(xs)[0]) if count is None else count,
            rnn_mode="lstm",
            direction="bidirectional" if len(states) == 2 else "unidirectional",
            time_major=True,
            is_training=False,
            seed=key,
        )[:3]
        final = [
            list(each) for each in zip(*(_part(new[i], len(states)) for i in range(node.state_count)), strict=True)
        ]
        last = [tf.cast(direction[0], xs.dtype) for direction in final]
        if count is not None:  # onnxruntime gives zeros for a row without steps; Keras keeps its initial state
            final = [
                [where(count > 0, after, tf.cast(before, tf.float32)) for after, before in zip(*pair, strict=True)]
                for pair in zip(final, states, strict=True)
            ]
        final = [[tf.cast(state, xs.dtype) for state in direction] for direction in final]
        return tf.cast(outputs, xs.dtype), last, final


def _join(directions: list[tf.Tensor]) -> tf.Tensor:
    """-> (directions, batch, units). Of one direction without Concat: a node costs as much as a small step."""
    return tf.expand_dims(directions[0], 0) if len(directions) == 1 else tf.stack(directions)


def _part(joined: tf.Tensor, directions: int) -> list[tf.Tensor]:
    return [tf.squeeze(joined, 0)] if directions == 1 else tf.unstack(joined, directions)


class OnnxLowering(Lowering):
    """Recurrent layers as ONNX operators, both directions of a Bidirectional as one."""

    engine: OnnxEngine

    def __init__(self) -> None:
        super().__init__(OnnxEngine())
        self.compactions = Compactions(tf.int64)  # what GatherND takes

    def bidirectional(
        self, layer: keras.layers.Bidirectional, forward: Recurrence, backward: Recurrence
    ) -> tuple[Result, Result] | None:
        """One bidirectional operator where both directions have the same cell; see `Lowering.bidirectional`."""
        node = _joint_node(forward.layer, backward.layer)
        if node is None or (forward.mask is not None and zeroes_in_time_order(backward.layer)):
            return None
        compaction = self.compactions.get(forward.mask)
        x = forward.sequences
        xs = time_major(x if compaction is None else compaction.pack(before_masking(x, forward.mask)))
        states = [keras.tree.flatten(call.states) for call in (forward, backward)]
        zero = forward.zero_state and backward.zero_state
        outputs, last, final = self.engine.mark(
            node, xs, states, None if compaction is None else compaction.count, zero=zero
        )
        outputs, zero_masked = time_major(outputs), forward.layer.zero_output_for_mask
        if compaction is not None and zero_masked:  # then a step's place is the same in both directions
            outputs = compaction.spread(outputs, zero_masked=True)
        directions = tf.split(outputs, 2, axis=-1)
        if compaction is not None:
            ends = (False, True)
            if not zero_masked:
                directions = [
                    compaction.spread(y, zero_masked=False, from_the_end=end)
                    for y, end in zip(directions, ends, strict=True)
                ]
            last = [
                compaction.last(y, zero_masked=zero_masked, from_the_end=end) for y, end in zip(last, ends, strict=True)
            ]
        return tuple(zip(last, directions, final, strict=True))  # type: ignore[return-value]  # two directions


def _joint_node(forward: keras.layers.RNN, backward: keras.layers.RNN) -> Node | None:
    """Both layers as one operator; None where they differ in more than their weights and their direction."""
    cells = [*cells_of(forward), *cells_of(backward)]
    if len(cells) != 2 or any(why_not(cell) for cell in cells):
        return None
    nodes = [node_of(cell) for cell in cells]
    same = nodes[0].operator == nodes[1].operator and nodes[0].attributes == nodes[1].attributes
    same = same and forward.zero_output_for_mask == backward.zero_output_for_mask
    return both_directions(*nodes) if same and backward.go_backwards and not forward.go_backwards else None


def handler(engine: OnnxEngine) -> Any:
    """tf2onnx's handler that turns a marker into its operator."""

    def convert(context: Any, marker: Any, name: str, arguments: Any) -> None:
        node = engine.nodes[marker.get_attr_int("seed")]
        x, h, c, _, lengths = marker.input
        outputs = list(marker.output)
        shapes, dtype = [context.get_shape(output) for output in outputs], context.get_dtype(outputs[0])
        context.remove_node(marker.name)

        def constant(label: str, value: np.ndarray) -> str:
            return str(context.make_const(f"{marker.name}/{label}", value).output[0])

        inputs = [x, constant("W", node.kernel), constant("R", node.recurrent), constant("B", node.bias)]
        inputs += [lengths if node.has_lengths else "", *([h, c][: node.state_count] if node.has_states else [])]
        while inputs[-1] == "":
            inputs.pop()
        directions, units = node.kernel.shape[0], node.attributes["hidden_size"]
        time, batch = shapes[0][:2] if shapes[0] else (-1, -1)
        stacked = f"{marker.name}/Y"
        context.make_node(
            node.operator,
            inputs,
            name=marker.name,
            outputs=[stacked, *outputs[1 : 1 + node.state_count]],
            shapes=[[time, directions, batch, units], *shapes[1 : 1 + node.state_count]],
            dtypes=[dtype] * (1 + node.state_count),
            attr=node.attributes,
        )
        # (time, directions, batch, units) -> (time, batch, directions * units)
        if directions == 1:
            axes = constant("axes", np.array([1], np.int64))
            context.make_node("Squeeze", [stacked, axes], outputs=[outputs[0]], shapes=[shapes[0]], dtypes=[dtype])
            return
        swapped = context.make_node("Transpose", [stacked], attr={"perm": [0, 2, 1, 3]}, dtypes=[dtype])
        # A known batch is written: of one row, tf2onnx drops the Transpose, and 0 would copy the directions' axis.
        shape = constant("shape", np.array([0, max(batch, 0), directions * units], np.int64))
        context.make_node(
            "Reshape", [swapped.output[0], shape], outputs=[outputs[0]], shapes=[shapes[0]], dtypes=[dtype]
        )

    return convert
