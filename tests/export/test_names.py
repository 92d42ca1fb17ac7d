"""The names in a file: none stands for two things, and those that nobody reads are short."""

from pathlib import Path

import keras
import onnx
import pytest

import export
from export.onnx_loops import bodies
from tests.export import user_cells
from tests.export.random_models import randomise

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


@pytest.mark.parametrize("fmt", ["saved_model", "onnx"])
def test_names_that_would_become_one_stay_apart_in_steps(fmt: str, tmp_path: Path) -> None:
    inputs = [keras.Input((None, size), name=name) for name, size in (("a b", 2), ("a_b", 3))]
    layers = [L.GRU(4, return_sequences=True), L.LSTM(5, return_sequences=True)]
    first, second = (layer(x) for layer, x in zip(layers, inputs, strict=True))
    model = randomise(keras.Model(inputs, {"a_b": first, "a_b_out": second}))
    artifact = export.export_model(model, tmp_path, fmt, streaming=True)
    assert export.verify(model, artifact).passed
