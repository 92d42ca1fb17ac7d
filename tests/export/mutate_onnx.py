"""ONNX files with one fault each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Mutate = Callable[[onnx.GraphProto, onnx.NodeProto], None]
UNITS = 4


def apply(mutate: Mutate, source: Path, target: Path) -> None:
    """Writes the source's mutant; it still is a valid ONNX file."""
    proto = onnx.load(str(source))
    (lstm,) = [node for node in proto.graph.node if node.op_type == "LSTM"]
    mutate(proto.graph, lstm)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.SerializeToString() != source.read_bytes()
    target.write_bytes(proto.SerializeToString())


def _edit(place: int, change: Callable[[np.ndarray], None]) -> Mutate:
    """Changes the weights at one of the operator's inputs: W 1, R 2, B 3."""

    def mutate(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
        (tensor,) = [one for one in graph.initializer if one.name == lstm.input[place]]
        value = numpy_helper.to_array(tensor).copy()
        before = value.copy()
        change(value)
        assert not np.array_equal(value, before)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))

    return mutate


def _flip(r: np.ndarray) -> None:
    r[0, 5, 1] *= -1


def _swap(w: np.ndarray) -> None:
    w[0, : 2 * UNITS] = np.roll(w[0, : 2 * UNITS], UNITS, axis=0)


def _transpose(r: np.ndarray) -> None:
    r[0, :UNITS] = r[0, :UNITS].T.copy()


def _zero(b: np.ndarray) -> None:
    b[:] = 0


def _drop_one(b: np.ndarray) -> None:
    b[0, 2 * UNITS] = 0


def _not_a_number(w: np.ndarray) -> None:
    w[0, 0, 0] = np.nan


def _lengths(offset: int) -> Mutate:
    def mutate(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
        graph.initializer.extend(
            [
                numpy_helper.from_array(np.array(offset, "int32"), "off"),
                numpy_helper.from_array(np.array(0, "int32"), "no"),
            ]
        )
        place = list(graph.node).index(lstm)
        graph.node.insert(place, helper.make_node("Sub", [lstm.input[4], "off"], ["fewer"]))
        graph.node.insert(place + 1, helper.make_node("Max", ["fewer", "no"], ["lengths"]))
        lstm.input[4] = "lengths"

    return mutate


def _no_lengths(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
    lstm.input[4] = ""


def _stale_state(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
    """An initial state that is not zero, as a state left by an earlier call is."""
    constants = {"one": [1], "units": [UNITS], "axis": [0], "first": [0], "second": [1]}
    graph.initializer.extend(numpy_helper.from_array(np.array(v, "int64"), k) for k, v in constants.items())
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.3])
    nodes = [
        helper.make_node("Shape", [graph.input[0].name], ["shape"]),
        helper.make_node("Slice", ["shape", "first", "second", "axis"], ["batch"]),
        helper.make_node("Concat", ["one", "batch", "units"], ["state_shape"], axis=0),
        helper.make_node("ConstantOfShape", ["state_shape"], ["stale"], value=value),
    ]
    place = list(graph.node).index(lstm)
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)
    lstm.input.extend([""] * (6 - len(lstm.input)))
    lstm.input[5] = "stale"


def _activation(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
    (names,) = [attribute for attribute in lstm.attribute if attribute.name == "activations"]
    names.strings[1] = b"Softsign"


def _reverse(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
    (direction,) = [attribute for attribute in lstm.attribute if attribute.name == "direction"]
    direction.s = b"reverse"


def _produced(graph: onnx.GraphProto, name: str) -> None:
    """Lets the graph's output be made under another name."""
    (node,) = [node for node in graph.node if graph.output[0].name in node.output]
    node.output[list(node.output).index(graph.output[0].name)] = name


def _rename(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
    _produced(graph, "Identity:0")
    graph.output[0].name = "Identity:0"


def _dtype(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
    _produced(graph, "single")
    graph.node.append(helper.make_node("Cast", ["single"], [graph.output[0].name], to=TensorProto.DOUBLE))
    graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _shape(graph: onnx.GraphProto, lstm: onnx.NodeProto) -> None:
    _produced(graph, "flat")
    graph.initializer.append(numpy_helper.from_array(np.array([1], "int64"), "axes"))
    graph.node.append(helper.make_node("Unsqueeze", ["flat", "axes"], [graph.output[0].name]))
    shape = graph.output[0].type.tensor_type.shape
    dims = [d.dim_param or d.dim_value for d in shape.dim]
    graph.output[0].CopyFrom(
        helper.make_tensor_value_info(graph.output[0].name, TensorProto.FLOAT, [dims[0], 1, dims[1]])
    )


# name -> (the fault, a word that the verifier's misses must hold)
MUTANTS: dict[str, tuple[Mutate, str]] = {
    "a weight's sign": (_edit(2, _flip), "differ"),
    "two gates swapped": (_edit(1, _swap), "differ"),
    "a transposed kernel": (_edit(2, _transpose), "differ"),
    "no bias": (_edit(3, _zero), "differ"),
    "one bias dropped": (_edit(3, _drop_one), "differ"),
    "NaN": (_edit(1, _not_a_number), "values"),
    "a step too few": (_lengths(1), "differ"),
    "no mask": (_no_lengths, "differ"),
    "a stale state": (_stale_state, "differ"),
    "another activation": (_activation, "differ"),
    "backwards": (_reverse, "differ"),
    "a renamed output": (_rename, "'logits' is missing"),
    "another dtype": (_dtype, "dtype"),
    "another shape": (_shape, "shape"),
}
