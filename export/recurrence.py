"""What all targets share of a recurrent layer: direction, masks, stacked cells. An engine runs one cell over time."""

import dataclasses
from typing import Any, Protocol

import keras
import tensorflow as tf

from export.masking import before_masking
from export.tensors import dims, time_major, where

States = list[tf.Tensor]
# (last output, all outputs in the order of processing, final states), as keras.layers.RNN.inner_loop returns them.
Result = tuple[tf.Tensor, tf.Tensor, Any]


@dataclasses.dataclass(frozen=True)
class Recurrence:
    """What Keras asks of a recurrent layer's inner loop.

    Attributes:
        layer: The recurrent layer.
        sequences: (batch, time, ...) in the order of time, also where the layer goes backwards.
        states: The initial state, nested as the cell has it.
        mask: (batch, time) bool, or None.
        zero_state: The initial state is known to be all zeros.
    """

    layer: keras.layers.RNN
    sequences: tf.Tensor
    states: list[Any]
    mask: tf.Tensor | None
    zero_state: bool


@dataclasses.dataclass(frozen=True)
class CellRun:
    """One cell over a sequence of steps, all of them valid up to each row's count.

    Attributes:
        cell: A Keras cell.
        xs: (time, batch, ...).
        time: How many steps xs has: an int where that is static, else a scalar tensor.
        states: Flat initial states.
        count: (batch,) int32 number of steps of each row, or None for all; rows hold their state after it.
        outputs: Whether all outputs are wanted, or the last one only.
        keep_states: Whether the final states are wanted.
        nested: The states' structure as the cell takes it.
        zero_state: The initial state is known to be all zeros.
    """

    cell: Any
    xs: tf.Tensor
    time: Any
    states: States
    count: tf.Tensor | None
    outputs: bool
    keep_states: bool
    nested: Any
    zero_state: bool


class Engine(Protocol):
    """Runs one cell over time in the target's best form."""

    def form(self, cell: Any) -> tuple[str, str]:
        """-> (the form that this cell takes, why it is not the native one; empty where it is)."""

    def __call__(self, run: CellRun) -> tuple[tf.Tensor | None, tf.Tensor, States]:
        """-> (outputs (time, batch, ...) where wanted, output at each row's last step, final states)."""


class Compaction:
    """The valid steps of each row, moved to its front: exact for any mask, and the loop ends with the longest row.

    Args:
        mask: (batch, time) bool.
        index: The type of indices that the target's gather takes.
        backwards: The steps are run from the last to the first.

    Attributes:
        mask: (batch, time) bool.
        count: (batch,) number of valid steps.
    """

    def __init__(self, mask: tf.Tensor, index: tf.DType = tf.int32, *, backwards: bool = False) -> None:
        mask = tf.reverse(mask, [1]) if backwards else mask
        self.mask = mask
        self._valid = tf.cast(mask, index)
        self.count = tf.cast(tf.reduce_sum(self._valid, axis=1), tf.int32)
        # top_k keeps the order of equal ones (TensorFlow, ONNX and LiteRT say so): valid steps first, in order of time.
        steps = tf.shape(mask, out_type=index)[1] if mask.shape[1] is None else tf.constant(mask.shape[1], index)
        order = tf.raw_ops.TopKV2(input=self._valid, k=steps, index_type=index).indices
        self._order = steps - 1 - order if backwards else order
        self._position = tf.cumsum(self._valid, axis=1)  # 1 .. count at the valid steps; 0 before the first

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, time, ...), in the order of time, -> the valid steps first, in the order of processing."""
        return tf.gather(x, self._order, batch_dims=1)

    def spread(self, outputs: tf.Tensor, *, zero_masked: bool, from_the_end: bool = False) -> tf.Tensor:
        """Back to the original places.

        A masked step repeats the output before it in the order of processing, or is zero, as Keras has it.

        Args:
            outputs: (batch, time, ...), valid steps first.
            zero_masked: Masked steps give zero.
            from_the_end: The outputs come from a run from the last valid step to the first.
        """
        if zero_masked:
            place = self._position * self._valid
        elif from_the_end:
            place = self._position - self._valid + 1
            seen = place <= tf.cast(tf.expand_dims(self.count, 1), place.dtype)
            place *= tf.cast(seen, place.dtype)
        else:
            place = self._position
        # Place 0 is a step of zeros: what is masked, or has nothing before it, finds its output there.
        return tf.gather(tf.pad(outputs, [[0, 0], [1, 0], *[[0, 0]] * (len(outputs.shape) - 2)]), place, batch_dims=1)

    def last(self, output: tf.Tensor, *, zero_masked: bool, from_the_end: bool = False) -> tf.Tensor:
        """The output after the last step; zero for a row without valid steps or, if zero_masked, with a masked last."""
        final_step = self.mask[:, 0] if from_the_end else self.mask[:, -1]
        return where(final_step if zero_masked else self.count > 0, output, tf.zeros_like(output))


class Compactions:
    """One Compaction for each mask: the layers of a stack share theirs.

    Args:
        index: The type of indices that the target's gather takes.
    """

    def __init__(self, index: tf.DType = tf.int32) -> None:
        self._index = index
        self._known: dict[tuple[int, int, bool], tuple[Any, Compaction]] = {}

    def get(self, mask: tf.Tensor | None, *, backwards: bool = False) -> Compaction | None:
        """The compaction of a mask, in the order of time or against it; None for no mask."""
        if mask is None:
            return None
        # The mask is held beside its compaction, so that no later tensor can get the same id.
        key = (id(mask), id(tf.compat.v1.get_default_graph()), backwards)
        if key not in self._known:
            self._known[key] = (mask, Compaction(mask, self._index, backwards=backwards))
        return self._known[key][1]


def run(call: Recurrence, engine: Engine, compactions: Compactions) -> Result:
    """Runs a layer's recurrence as keras.layers.RNN.inner_loop would, each cell by the engine."""
    layer = call.layer
    x = call.sequences if call.mask is None else before_masking(call.sequences, call.mask)
    compaction = compactions.get(call.mask, backwards=layer.go_backwards)
    if compaction is not None:
        x = compaction.pack(x)
    elif layer.go_backwards:
        x = tf.reverse(x, [1])
    xs = time_major(x)
    outputs, last, states = _run_cells(call, engine, xs, None if compaction is None else compaction.count)
    zero_masked = layer.zero_output_for_mask
    if compaction is not None:
        last = compaction.last(last, zero_masked=zero_masked)
    if outputs is None:
        return last, tf.expand_dims(last, 1), states
    outputs = time_major(outputs)
    if compaction is not None:
        outputs = compaction.spread(outputs, zero_masked=zero_masked and not zeroes_in_time_order(layer))
        if zero_masked and zeroes_in_time_order(layer):
            outputs = where(call.mask, outputs, tf.zeros_like(outputs))
    return last, outputs, states


def zeroes_in_time_order(layer: keras.layers.RNN) -> bool:
    """Whether Keras zeroes masked outputs in the order of time though they are in the order of processing.

    Its unrolled loop reverses the mask for the steps, but not for the zeroing. The model is the judge.
    """
    return bool(layer.unroll and layer.go_backwards)


def cells_of(layer: keras.layers.RNN) -> list[Any]:
    """The layer's cells, from the first to the last."""
    return list(layer.cell.cells) if isinstance(layer.cell, keras.layers.StackedRNNCells) else [layer.cell]


def _sizes(call: Recurrence) -> list[Any]:
    """[batch, time], asked of the mask where there is one: layers that share a mask then share what follows of them."""
    asked = dims(call.sequences if call.mask is None else call.mask)
    return [size if known is None else known for size, known in zip(asked[:2], call.sequences.shape[:2], strict=True)]


def _run_cells(
    call: Recurrence, engine: Engine, xs: tf.Tensor, count: tf.Tensor | None
) -> tuple[tf.Tensor | None, tf.Tensor, Any]:
    """Runs stacked cells one after the other over the whole sequence: the same function as all of them step by step."""
    cells = cells_of(call.layer)
    stacked = isinstance(call.layer.cell, keras.layers.StackedRNNCells)
    batch, time = _sizes(call)
    nested = call.states if stacked else [call.states]
    if call.zero_state and call.mask is not None:
        nested = keras.tree.map_structure(lambda state: tf.zeros([batch, *state.shape[1:]], state.dtype), nested)
    final: list[Any] = []
    outputs: tf.Tensor | None = xs
    last = xs
    for index, (cell, states) in enumerate(zip(cells, nested, strict=True)):
        wanted = call.layer.return_sequences or index + 1 < len(cells)
        # Where a stack holds a cell's only state by itself, Keras still calls the cell with a list of it.
        taken = states if keras.tree.is_nested(states) else [states]
        flat = keras.tree.flatten(taken)
        keep = call.layer.return_state
        outputs, last, new = engine(CellRun(cell, outputs, time, flat, count, wanted, keep, taken, call.zero_state))
        final.append(keras.tree.pack_sequence_as(states, new))
    return outputs, last, final if stacked else final[0]
