"""The names inside an ONNX file: short ones, none of which is an input's or output's."""

from pathlib import Path

import keras
import onnx

import export
from export.onnx_loops import bodies
from tests.export import user_cells

L = keras.layers


def _graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    return [graph, *(inner for node in graph.node for body in bodies(node) for inner in _graphs(body))]


def test_loops_carry_no_long_names_and_take_none_of_the_inputs(tmp_path: Path) -> None:
    """Of many loops, names that nobody reads would be a fifth of the file."""
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    own, silu = L.RNN(user_cells.MinimalCell(3), return_sequences=True), L.GRU(3, activation="silu")
    model = keras.Model([a, b], {"c": own(L.Masking()(a)), "d": silu(b)})
    artifact = export.export_model(model, tmp_path / "m.onnx")
    main, *loops = _graphs(onnx.load(str(artifact.path)).graph)
    assert len(loops) == 2
    for graph in (main, *loops):
        assert all(len(name) <= 2 for node in graph.node for name in (*node.input, *node.output))
    for graph in loops:
        values = [*graph.input, *graph.output]
        assert len(graph.name) <= 4
        assert not any(dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim)
