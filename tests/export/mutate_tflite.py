"""LiteRT files with one fault each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Mutate = Callable[[Any, keras.Model], None]
UNITS = 4


def apply(mutate: Mutate, source: Path, target: Path, model: keras.Model) -> None:
    """Writes the source's mutant."""
    content = schema.ModelT.InitFromPackedBuf(bytearray(source.read_bytes()), 0)
    mutate(content, model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(content.Pack(builder), file_identifier=b"TFL3")
    target.write_bytes(bytes(builder.Output()))


def _edit(name: str, change: Callable[[np.ndarray], None]) -> Mutate:
    """Changes a weight of the LSTM, in Keras's layout, wherever and in whatever layout the file holds it."""

    def mutate(content: Any, model: keras.Model) -> None:
        old = getattr(model.get_layer("lstm").cell, name).numpy()
        new = old.copy()
        change(new)
        found = 0
        for buffer in content.buffers:
            data = b"" if buffer.data is None else bytes(bytearray(buffer.data))
            for before, after in ((old, new), (old.T, new.T)):
                if data == before.tobytes():
                    buffer.data = np.frombuffer(after.tobytes(), np.uint8)
                    found += 1
                    break
        assert found == 1, f"{name} is {found} times in the file"

    return mutate


def _flip(recurrent: np.ndarray) -> None:
    recurrent[1, 2] *= -1


def _swap(kernel: np.ndarray) -> None:
    kernel[:, : 2 * UNITS] = np.roll(kernel[:, : 2 * UNITS], UNITS, axis=1)


def _transpose(recurrent: np.ndarray) -> None:
    recurrent[:, :UNITS] = recurrent[:, :UNITS].T.copy()


def _zero(bias: np.ndarray) -> None:
    bias[:] = 0


def _not_a_number(kernel: np.ndarray) -> None:
    kernel[0, 0] = np.nan


def _code(content: Any, name: str) -> int:
    """The index of an operator, added to the file's table where it lacks."""
    builtin = getattr(schema.BuiltinOperator, name)
    for index, code in enumerate(content.operatorCodes):
        if code.builtinCode == builtin:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
    content.operatorCodes.append(code)
    return len(content.operatorCodes) - 1


def _replace(old: str, new: str, places: Callable[[Any, Any], bool]) -> Mutate:
    """Puts one operator in the place of another where `places(subgraph index, tensor of the result)`."""

    def mutate(content: Any, model: keras.Model) -> None:
        before, after, changed = _code(content, old), _code(content, new), 0
        for index, subgraph in enumerate(content.subgraphs):
            for operator in subgraph.operators:
                if operator.opcodeIndex == before and places(index, subgraph.tensors[operator.outputs[0]]):
                    operator.opcodeIndex, operator.builtinOptions, operator.builtinOptionsType = after, None, 0
                    changed += 1
        assert changed

    return mutate


def _a_step_more(content: Any, model: keras.Model) -> None:
    """Rows run while t <= count: one padded step too many."""
    _replace(
        "LESS", "LESS_EQUAL", lambda index, result: index > 0 and result.shape is not None and len(result.shape) > 0
    )(content, model)


def _rename(content: Any, model: keras.Model) -> None:
    content.signatureDefs[0].outputs[0].name = b"output_0"


def _dtype(content: Any, model: keras.Model) -> None:
    """The output goes through a cast to whole numbers."""
    main = content.subgraphs[0]
    signature = content.signatureDefs[0].outputs[0]
    old = main.tensors[signature.tensorIndex]
    tensor = schema.TensorT()
    tensor.shape, tensor.shapeSignature, tensor.type = old.shape, old.shapeSignature, schema.TensorType.INT32
    tensor.buffer, tensor.name = 0, b"cast"
    main.tensors.append(tensor)
    cast = schema.OperatorT()
    cast.opcodeIndex = _code(content, "CAST")
    cast.inputs, cast.outputs = [signature.tensorIndex], [len(main.tensors) - 1]
    main.operators.append(cast)
    signature.tensorIndex = len(main.tensors) - 1
    main.outputs = [signature.tensorIndex]


# name -> (the fault, a word that the verifier's misses must hold)
MUTANTS: dict[str, tuple[Mutate, str]] = {
    "a weight's sign": (_edit("recurrent_kernel", _flip), "differ"),
    "two gates swapped": (_edit("kernel", _swap), "differ"),
    "a transposed kernel": (_edit("recurrent_kernel", _transpose), "differ"),
    "no bias": (_edit("bias", _zero), "differ"),
    "NaN": (_edit("kernel", _not_a_number), "not finite"),
    "a step too many": (_a_step_more, "differ"),
    "another activation": (_replace("TANH", "LOGISTIC", lambda index, result: index > 0), "differ"),
    "a renamed output": (_rename, "'logits' is missing"),
    "another dtype": (_dtype, "dtype"),
}
