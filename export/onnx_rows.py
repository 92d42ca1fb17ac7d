"""Many rows at once through a SimpleRNN in ONNX.

onnxruntime's RNN kernel applies the activation number by number: it is the fastest form for a few rows and three times
slower than a loop of small ops for 64 (docs/benchmarks.md). Its LSTM and GRU have vectorised ones. So where the batch
is open, an RNN node gets a Scan beside it, which a call with more than `FEW` rows takes.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEW = 4
"""Rows up to which the RNN kernel is the faster one; measured."""


def serve_many_rows(proto: onnx.ModelProto) -> None:
    """Gives each RNN node of the main graph a Scan for many rows; in place.

    Args:
        proto: A whole model of opset 15 or later; files that keep their batch to a size stay as they are.
    """
    if not any(dim.dim_param for value in proto.graph.input for dim in value.type.tensor_type.shape.dim[:1]):
        return
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(proto.graph.node):
        nodes += _Rows(proto.graph, node, f"rows_{index}").nodes() if node.op_type == "RNN" else [node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


class _Rows:
    """One RNN node: X (time, batch, size), W, R, B, lengths or "", initial states or "" -> Y, Y_h."""

    def __init__(self, graph: onnx.GraphProto, node: onnx.NodeProto, prefix: str) -> None:
        self._graph, self._node, self._prefix = graph, node, prefix
        inputs = [*node.input, "", ""][:6]
        self._x, self._kernel, self._recurrent, self._bias, self._lengths, self._states = inputs
        self._attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        self._directions = 2 if self._attributes.get("direction") == b"bidirectional" else 1

    def nodes(self) -> list[onnx.NodeProto]:
        """What stands in the node's place."""
        made = [
            helper.make_node("Shape", [self._x], [self._name("batch")], start=1, end=2),
            helper.make_node("Greater", [self._name("batch"), self._constant("few", [FEW])], [self._name("are_many")]),
            helper.make_node("Squeeze", [self._name("are_many")], [self._name("is_scan")]),
        ]
        node = onnx.NodeProto()
        node.CopyFrom(self._node)
        # What the kernel makes of one row, or of one step of it, is not read where the Scan runs.
        made += self._one_if_many(node, 0, axis=1)
        made += self._one_if_many(node, 4, axis=0) if self._lengths else self._one_if_many(node, 0, axis=0)
        made += self._one_if_many(node, 5, axis=1) if self._states else []
        few = [self._name(f"few_out_{index}") if output else "" for index, output in enumerate(node.output)]
        node.output[:] = few
        outputs = [output for output in self._node.output if output]
        branches = {
            "then_branch": self._scan_graph(),
            "else_branch": helper.make_graph(
                [helper.make_node("Identity", [name], [f"{name}_id"]) for name in few if name],
                self._name("few"),
                [],
                [helper.make_tensor_value_info(f"{name}_id", TensorProto.FLOAT, None) for name in few if name],
            ),
        }
        return [*made, node, helper.make_node("If", [self._name("is_scan")], outputs, **branches)]

    def _one_if_many(self, node: onnx.NodeProto, place: int, axis: int) -> list[onnx.NodeProto]:
        """Slices an input of the kernel down to one row (or step) where there are many rows."""
        label, tensor = f"{place}_{axis}", node.input[place]
        size, kept, few = (self._name(f"{kind}_{label}") for kind in ("size", "kept", "few"))
        node.input[place] = few
        bounds = [self._constant("zero", [0]), kept, self._constant(f"axis_{axis}", [axis])]
        return [
            helper.make_node("Shape", [tensor], [size], start=axis, end=axis + 1),
            helper.make_node("Where", [self._name("are_many"), self._constant("one", [1]), size], [kept]),
            helper.make_node("Slice", [tensor, *bounds], [few]),
        ]

    def _scan_graph(self) -> onnx.GraphProto:
        made: list[onnx.NodeProto] = []
        outputs, finals = [], []
        for direction in range(self._directions):
            y, final = self._direction(made, direction)
            outputs.append(y)
            finals.append(final)
        joined = [self._name("many_y"), self._name("many_h")]
        # (time, batch, units) each -> (time, directions, batch, units); (batch, units) -> (directions, batch, units)
        for name, parts, axis in ((joined[0], outputs, 1), (joined[1], finals, 0)):
            lifted = [f"{part}_lifted" for part in parts]
            axes = self._constant(f"axis_{axis}", [axis])
            made += [helper.make_node("Unsqueeze", [part, axes], [up]) for part, up in zip(parts, lifted, strict=True)]
            made.append(helper.make_node("Concat", lifted, [name], axis=axis))
        wanted = [name for name, output in zip(joined, self._node.output, strict=False) if output]
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted]
        return helper.make_graph(made, self._name("many"), [], infos)

    def _direction(self, made: list[onnx.NodeProto], direction: int) -> tuple[str, str]:
        """One direction's ops -> the names of its outputs (time, batch, units) and of its final state."""

        def name(label: str) -> str:
            return self._name(f"{label}_{direction}")

        def add(op: str, inputs: list[str], label: str, **attributes: Any) -> str:
            made.append(helper.make_node(op, inputs, [name(label)], **attributes))
            return name(label)

        place = self._scalar(direction)
        kernel = add("Transpose", [add("Gather", [self._kernel, place], "w")], "w_t", perm=[1, 0])
        recurrent = add("Transpose", [add("Gather", [self._recurrent, place], "r")], "r_t", perm=[1, 0])
        # The input's bias and the recurrent one, (2 * units,) -> (units,)
        halves = self._constant("halves", [2, -1])
        both = add("Reshape", [add("Gather", [self._bias, place], "b"), halves], "b_two")
        bias = add("ReduceSum", [both, self._constant("zero", [0])], "bias", keepdims=0)
        projected = add("Add", [add("MatMul", [self._x, kernel], "xw"), bias], "projected")
        if self._states:
            state = add("Gather", [self._states, place], "h0")
        else:
            first = add("Gather", [projected, self._scalar(0)], "p0")
            state = add("Sub", [first, first], "h0")
        scanned = [projected]
        if self._lengths:
            time = add("Shape", [self._x], "time", start=0, end=1)
            squeezed = add("Squeeze", [time], "t_end")
            limits = [self._scalar(0), squeezed, self._scalar(1)]
            scanned.append(add("Range", limits, "steps"))
            column = add("Unsqueeze", [self._lengths, self._constant("axis_1", [1])], "len")
            add("Cast", [column], "len64", to=TensorProto.INT64)
        backward = [direction if self._directions == 2 else 0]
        made.append(
            helper.make_node(
                "Scan",
                [state, *scanned],
                [name("final"), name("y")],
                body=self._body(direction, recurrent),
                num_scan_inputs=len(scanned),
                scan_input_directions=backward * len(scanned),
                scan_output_directions=backward,
            )
        )
        return name("y"), name("final")

    def _body(self, direction: int, recurrent: str) -> onnx.GraphProto:
        def name(label: str) -> str:
            return self._name(f"body_{label}_{direction}")

        made = [
            helper.make_node("MatMul", [name("h"), recurrent], [name("hr")]),
            helper.make_node("Add", [name("x"), name("hr")], [name("sum")]),
            self._activation(direction, name("sum"), name("new")),
        ]
        inputs = [helper.make_tensor_value_info(name(label), TensorProto.FLOAT, None) for label in ("h", "x")]
        state, output = name("new"), name("y")
        if self._lengths:
            inputs.append(helper.make_tensor_value_info(name("t"), TensorProto.INT64, None))
            made += [
                helper.make_node("Less", [name("t"), self._name(f"len64_{direction}")], [name("is_step")]),
                helper.make_node("Where", [name("is_step"), name("new"), name("h")], [name("kept")]),
                helper.make_node("Sub", [name("new"), name("new")], [name("nothing")]),
                helper.make_node("Where", [name("is_step"), name("new"), name("nothing")], [output]),
            ]
            state = name("kept")
        else:
            made.append(helper.make_node("Identity", [name("new")], [output]))
        outputs = [helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in (state, output)]
        return helper.make_graph(made, name("body"), inputs, outputs)

    def _activation(self, direction: int, x: str, y: str) -> onnx.NodeProto:
        kinds = [kind.decode() for kind in self._attributes["activations"]]
        kind = kinds[direction]
        if kind == "Affine":  # Keras's linear: 1 * x + 0
            return helper.make_node("Identity", [x], [y])
        # Of two directions both have the same activation, with the same constants.
        constants = {
            label: self._attributes[f"activation_{label}"][0]
            for label in ("alpha", "beta")
            if self._attributes.get(f"activation_{label}")
        }
        return helper.make_node(kind, [x], [y], **constants)

    def _name(self, label: str) -> str:
        return f"{self._prefix}/{label}"

    def _scalar(self, value: int) -> str:
        return self._constant(f"scalar_{value}", value)

    def _constant(self, label: str, value: int | list[int]) -> str:
        name = self._name(label)
        if not any(known.name == name for known in self._graph.initializer):
            self._graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
        return name
