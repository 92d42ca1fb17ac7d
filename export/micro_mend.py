"""Mends what the converter gets wrong in a fused LSTM (UNIDIRECTIONAL_SEQUENCE_LSTM).

The state lives on into the next call (outputs off by up to 0.87, measured), the cell is clipped at 10 (off by 2.0 on an
LSTM that counts), and one zero constant is the state of two layers, or of a layer and something else's zeros. A cell
that stays below 1/2 gets a finer scale than LiteRT's kernel takes the tanh of (outputs off by four times their size).
"""

import collections
import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.micro_ops import LSTM, op_name
from export.tflite_size import pack

_STATES = (18, 19)  # the op's inputs: output state, cell state
_FINEST_CELL = 2.0**-15  # of 16 bits that reach from -1 to 1
_TYPES: dict[int, type[np.generic]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
}


def own_states(content: bytes) -> bytes:
    """A LiteRT file whose fused LSTMs have states of their own; before calibration, which gives each its own scale."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for graph in model.subgraphs:
        _Mender(model, graph).own_states()
    return pack(model)


def mend(content: bytes) -> bytes:
    """A LiteRT file whose fused LSTMs, after `own_states`, start each call from zeros, and do not clip."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for graph in model.subgraphs:
        _Mender(model, graph).reset_states()
    return pack(model)


class _Mender:
    def __init__(self, model: Any, graph: Any) -> None:
        self._model = model
        self._graph = graph
        self._uses = collections.Counter(int(i) for op in graph.operators or [] for i in op.inputs)
        self._uses.update(int(i) for i in graph.outputs)

    def own_states(self) -> None:
        for operator in self._graph.operators or []:
            if op_name(self._model, operator) == LSTM:
                operator.inputs = [int(i) for i in operator.inputs]
                for place in _STATES:
                    operator.inputs[place] = self._own(operator.inputs[place])

    def reset_states(self) -> None:
        operators = []
        for operator in self._graph.operators or []:
            if op_name(self._model, operator) == LSTM:
                operator.builtinOptions.cellClip = 0.0
                self._widen(self._graph.tensors[int(operator.inputs[_STATES[1]])])
                operators += [self._reset(int(operator.inputs[place])) for place in _STATES]
            operators.append(operator)
        self._graph.operators = operators

    def _widen(self, cell: Any) -> None:
        """The kernels read the scale when they start; nothing else in the file was made for it."""
        if cell.type == schema.TensorType.INT16 and cell.quantization.scale[0] < _FINEST_CELL:
            cell.quantization.scale = [_FINEST_CELL]

    def _own(self, index: int) -> int:
        """The state itself, or another for a constant that has other uses."""
        if self._uses[index] == 1:
            return index
        self._uses[index] -= 1
        shared = self._graph.tensors[index]
        state = copy.copy(shared)
        state.isVariable, state.buffer = True, 0
        state.name = b"%s_%d" % (shared.name, len(self._graph.tensors))  # the calibrator knows tensors by their names
        others = [op for op in self._graph.operators if index in list(op.inputs)]
        if not any(op_name(self._model, op) == LSTM for op in others[1:]):
            self._make_constant(shared)
        return self._add(state)

    def _make_constant(self, tensor: Any) -> None:
        """What is left of a shared state is plain zeros again."""
        buffer = self._model.buffers[tensor.buffer]
        tensor.isVariable = False
        if buffer.data is None or len(buffer.data) == 0:
            tensor.buffer = self._data(np.zeros(tensor.shape, _TYPES[tensor.type]))

    def _reset(self, index: int) -> Any:
        """An op that writes zeros into the state: SELECT_V2(true, zeros, state), which takes all types."""
        state = self._graph.tensors[index]
        points = None if state.quantization is None else state.quantization.zeroPoint
        zero = 0 if points is None or len(points) == 0 else int(points[0])
        always = self._constant(np.ones((1,), bool), schema.TensorType.BOOL)
        zeros = self._constant(np.full(state.shape, zero, _TYPES[state.type]), state.type, state.quantization)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(schema.BuiltinOperator.SELECT_V2)
        operator.inputs, operator.outputs = [always, zeros, index], [index]
        operator.builtinOptionsType = schema.BuiltinOptions.SelectV2Options
        operator.builtinOptions = schema.SelectV2OptionsT()
        return operator

    def _constant(self, value: np.ndarray, kind: int, quantization: Any = None) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.quantization = list(value.shape), kind, quantization
        tensor.buffer, tensor.hasRank = self._data(value), True
        return self._add(tensor)

    def _add(self, tensor: Any) -> int:
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _data(self, value: np.ndarray) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _code(self, builtin: int) -> int:
        for index, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1
