"""What an artifact holds: names, axes, ops, metadata, size; and what it tells a stranger."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

import export
from export import saved_model
from tests.export import user_cells
from tests.export.conftest import METADATA, MODELS
from tests.export.judging import FORMATS, SUFFIXES, difference, plain_runtime
from tests.export.random_models import randomise

L = keras.layers

# Recurrent operators in each shared model's ONNX file.
NATIVE = {"tagger": {"LSTM": 1, "GRU": 1}, "classifier": {"LSTM": 1}, "regressor": {"RNN": 1}}
# While loops in its LiteRT file: one for a layer that gives its last state only.
LOOPS = {"classifier": 1, "regressor": 1}


@pytest.mark.parametrize("name", MODELS)
def test_onnx_holds_the_native_operators_and_no_loop(name: str, artifact_of: Any) -> None:
    ops = export.op_histogram(artifact_of(name, "onnx").path)
    assert {op: count for op, count in ops.items() if op in ("LSTM", "GRU", "RNN")} == NATIVE[name]
    # A SimpleRNN has a second form for many rows, which its kernel is slow for.
    many_rows = {"Scan", "If"} if "RNN" in ops else set()
    assert {"Loop", "Scan", "If"} & set(ops) == many_rows


@pytest.mark.parametrize("name", MODELS)
def test_litert_holds_builtin_ops_only(name: str, artifact_of: Any) -> None:
    path = artifact_of(name, "tflite").path
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert all(code.CustomCode() is None for code in codes)
    assert not any(op.startswith(("CUSTOM", "Flex")) for op in export.op_histogram(path))


@pytest.mark.parametrize("name", LOOPS)
def test_litert_has_one_loop_for_a_layer_that_gives_its_last_state(name: str, artifact_of: Any) -> None:
    assert export.op_histogram(artifact_of(name, "tflite").path)["WHILE"] == LOOPS[name]


def test_litert_hoists_the_input_projection(artifact_of: Any) -> None:
    """One product over the whole sequence, one in the loop's body, one in the head."""
    assert export.op_histogram(artifact_of("classifier", "tflite").path)["FULLY_CONNECTED"] == 3


@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
@pytest.mark.parametrize("name", MODELS)
def test_the_file_is_its_weights_and_little_more(name: str, fmt: str, artifact_of: Any, model_of: Any) -> None:
    weights = sum(4 * int(np.prod(v.shape)) for v in model_of(name).weights)
    assert artifact_of(name, fmt).path.stat().st_size <= 1.1 * weights + 20 * 1024


@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
def test_a_small_deep_tagger_is_a_small_file(fmt: str, tmp_path: Path) -> None:
    """Nine loops with masks, of almost no weights."""
    tokens = x = keras.Input((None,), dtype="int32")
    x = L.Embedding(20, 4, mask_zero=True)(x)
    for _ in range(4):
        x = L.Bidirectional(L.LSTM(8, return_sequences=True))(x)
    model = keras.Model(tokens, L.Dense(3)(L.GRU(6, return_sequences=True)(x)))
    artifact = export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}", verify=False)
    assert artifact.bytes <= 1.1 * 4 * model.count_params() + 20 * 1024


def test_litert_loops_carry_nothing_that_nobody_reads(artifact_of: Any) -> None:
    """Each loop's variables: its counter, the states, what it collects, and what its body reads."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(artifact_of("classifier", "tflite").path.read_bytes()), 0)
    for subgraph in model.subgraphs:
        for op in subgraph.operators:
            if model.operatorCodes[op.opcodeIndex].builtinCode != schema.BuiltinOperator.WHILE:
                continue
            condition = model.subgraphs[op.builtinOptions.condSubgraphIndex]
            body = model.subgraphs[op.builtinOptions.bodySubgraphIndex]
            for place, (before, after) in enumerate(zip(body.inputs, body.outputs, strict=True)):
                readers = [inner for inner in body.operators if before in inner.inputs]
                only_its_update = [list(reader.outputs) for reader in readers] == [[after]]
                asked = any(condition.inputs[place] in inner.inputs for inner in condition.operators)
                assert asked or not only_its_update


@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
def test_a_static_sequence_bakes_no_zeros_into_the_file(fmt: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((500, 8)), L.LSTM(64, return_sequences=True)])
    artifact = export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}", verify=False)
    assert artifact.bytes <= 1.1 * 4 * model.count_params() + 20 * 1024


@pytest.mark.parametrize("name", MODELS)
def test_names_and_axes_of_the_onnx_file(name: str, artifact_of: Any, model_of: Any) -> None:
    graph = onnx.load(str(artifact_of(name, "onnx").path)).graph
    sizes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in [*graph.input, *graph.output]
    }
    assert sizes == {
        "tagger": {"features": ["batch", "time", 4], "tags": ["batch", "time", 5]},
        "classifier": {"token_ids": ["batch", "time"], "logits": ["batch", 3]},
        "regressor": {
            "series": ["batch", "time", 2], "static": ["batch", 3], "mean": ["batch", 2], "summary": ["batch", 4]
        },
    }[name]  # fmt: skip


@pytest.mark.parametrize("fmt", FORMATS)
def test_batch_and_time_are_dynamic(fmt: str, artifact_of: Any, model_of: Any) -> None:
    """One loaded artifact, many shapes in a random order: nothing of a shape is left in it."""
    rng = np.random.default_rng(0)
    keras_says = tf.function(model_of("tagger"), autograph=False, input_signature=[tf.TensorSpec((None, None, 4))])
    run = plain_runtime(artifact_of("tagger", fmt).path)
    for batch, time in rng.integers(1, [9, 70], (25, 2)):
        x = rng.normal(size=(batch, time, 4)).astype("float32")
        x[rng.random((batch, time)) < 0.3] = 0.0
        assert difference(np.asarray(keras_says(x)), run({"features": x})["tags"]) == ""


def in_file(path: Path) -> dict[str, Any]:
    """The metadata inside an artifact."""
    if path.suffix == ".onnx":
        return json.loads({p.key: p.value for p in onnx.load(str(path)).metadata_props}["seqzoo"])
    if path.suffix == ".tflite":
        model = schema.ModelT.InitFromPackedBuf(bytearray(path.read_bytes()), 0)
        buffers = {entry.name: model.buffers[entry.buffer].data for entry in model.metadata}  # all point somewhere
        return json.loads(bytes(buffers[b"seqzoo"]).decode())
    return json.loads((path / "assets.extra" / "seqzoo.json").read_text())


@pytest.mark.parametrize("fmt", FORMATS)
def test_metadata_is_in_the_manifest_and_in_the_file(fmt: str, artifact_of: Any) -> None:
    path = artifact_of("tagger", fmt).path
    entry = json.loads((path.parent / "manifest.json").read_text())["artifacts"][path.name]
    inside = in_file(path)
    assert inside["model"] == "tagger"
    for key, value in METADATA.items():
        assert entry[key] == value
        assert inside[key] == value


def test_metadata_is_utf8_in_every_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda path, text, encoding="ascii": write(path, text, encoding))
    monkeypatch.setattr(saved_model, "save_signatures", lambda _, folder: folder.mkdir())
    saved_model.write_signatures({}, tmp_path / "m", {"seqzoo": "größe"})
    assert (tmp_path / "m" / "assets.extra" / "seqzoo.json").read_text(encoding="utf-8") == "größe"


@dataclasses.dataclass
class Scaled:
    """An activation that compares by its fields, and so has no hash."""

    scale: float = 0.5

    def __call__(self, x: Any) -> Any:
        return keras.ops.tanh(self.scale * x)


ALIKE = {
    "inputs, once they are identifiers": (("a b", "a_b"), ("y", "z")),
    "inputs, but for case": (("X", "x"), ("y", "z")),
    "inputs of TensorFlow's own sort": (("_", "é"), ("y", "z")),
    "outputs, once one gives way to an input": (("x", "y"), ("x", "x_out")),
    "an input, once an output gives way": (("x", "x_out"), ("x", "y")),
}


@pytest.mark.parametrize(
    ("which", "fmt"),
    [
        pytest.param(which, fmt, marks=[] if number % len(FORMATS) == place else pytest.mark.slow)
        for number, which in enumerate(ALIKE)
        for place, fmt in enumerate(FORMATS)
    ],
)
def test_names_that_would_become_one_stay_apart(which: str, fmt: str, tmp_path: Path) -> None:
    """The manifest tells which is which; each layer has units of its own, so that a swap has the wrong shape."""
    names, given = ALIKE[which]
    inputs = [keras.Input((None, size), name=name) for name, size in zip(names, (2, 3), strict=True)]
    layers = [L.LSTM(4, return_sequences=True), L.GRU(5, return_sequences=True)]
    outputs = dict(zip(given, (layer(x) for layer, x in zip(layers, inputs, strict=True)), strict=True))
    model = randomise(keras.Model(inputs, outputs))
    path = export.export_model(model, tmp_path, fmt).path
    assert export.verify(model, path).passed
    entry = json.loads((tmp_path / "manifest.json").read_text())["artifacts"][path.name]
    written = [{port.get("keras_name", port["name"]): port for port in entry[kind]} for kind in ("inputs", "outputs")]
    arrays = {name: np.ones((1, 7, size), "float32") for name, size in zip(names, (2, 3), strict=True)}
    got = plain_runtime(path)({written[0][name]["name"]: array for name, array in arrays.items()})
    expected = model([arrays[name] for name in names])
    for name in given:
        np.testing.assert_allclose(got[written[1][name]["name"]], expected[name], atol=1e-5)


@pytest.mark.parametrize("fmt", FORMATS)
def test_an_activation_may_have_no_hash(fmt: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 3)), L.LSTM(3, activation=Scaled())])
    assert export.export_model(model, tmp_path, fmt).report.passed


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_manifest_tells_a_stranger_enough(fmt: str, artifact_of: Any) -> None:
    """With the manifest alone: build the inputs, run the artifact, find the outputs."""
    path = artifact_of("regressor", fmt).path
    manifest = json.loads((path.parent / "manifest.json").read_text())
    entry = manifest["artifacts"][path.name]
    sizes = {"batch": 2, "time": 6}
    arrays = {
        port["name"]: np.ones([sizes.get(axis, axis) for axis in port["axes"]], port["dtype"])
        for port in entry["inputs"]
    }
    results = plain_runtime(path)(arrays)
    for port in entry["outputs"]:
        assert results[port["name"]].shape == tuple(sizes.get(axis, axis) for axis in port["axes"])
        assert results[port["name"]].dtype == port["dtype"]
    package = entry["runtime"]["package"]
    assert entry["runtime"]["tested_with"] == importlib.metadata.version(package)
    assert manifest["model"] == "regressor"


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_runtime_may_be_installed_under_another_name(
    fmt: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As tensorflow-cpu and onnxruntime-gpu are."""
    runtime = export.FORMATS[fmt].runtime
    expected, version = importlib.metadata.version(runtime), importlib.metadata.version

    def renamed(name: str) -> str:
        if name == runtime:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", renamed)
    model = keras.Sequential([keras.Input((None, 3)), L.LSTM(3)])
    export.export_model(model, tmp_path, fmt, verify=False)
    (entry,) = json.loads((tmp_path / "manifest.json").read_text())["artifacts"].values()
    assert entry["runtime"]["tested_with"] == expected


def test_the_manifest_says_which_layer_is_a_loop_and_why(tmp_path: Path) -> None:
    x = keras.Input((None, 3))
    y = L.GRU(2, activation="silu", return_sequences=True, name="odd")(x)
    y = L.RNN(user_cells.MinimalCell(2), return_sequences=True, name="own")(y)
    model = keras.Model(x, L.LSTM(2, name="plain")(y))
    path = export.export_model(model, tmp_path / "m.onnx", verify=False).path
    layers = json.loads((tmp_path / "manifest.json").read_text())["artifacts"]["m.onnx"]["recurrent_layers"]
    notes = {layer["layer"]: layer for layer in layers}
    assert "silu" in notes["odd"]["reason"]
    assert "MinimalCell" in notes["own"]["reason"]
    assert notes["plain"] == {"layer": "plain", "cells": ["LSTMCell"], "form": "LSTM operator", "reason": ""}
    ops = export.op_histogram(path)
    assert ops["Loop"] == 2
    assert ops["LSTM"] == 1


@pytest.mark.parametrize(
    "opset", [14, 20, pytest.param(17, marks=pytest.mark.slow), pytest.param(22, marks=pytest.mark.slow)]
)
def test_the_opset_is_the_one_asked_for(opset: int, model_of: Any, tmp_path: Path) -> None:
    artifact = export.export_model(model_of("tagger"), tmp_path / "m.onnx", opset=opset)
    (imported,) = [o.version for o in onnx.load(str(artifact.path)).opset_import if o.domain in ("", "ai.onnx")]
    assert imported == opset


@pytest.mark.parametrize(
    "kind", ["LSTM", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("GRU", "SimpleRNN"))]
)
def test_both_directions_are_one_onnx_node_whatever_the_merge(kind: str, tmp_path: Path) -> None:
    x = keras.Input((None, 3))
    merges = ("concat", "sum", "ave", "mul", None)
    layers = [L.Bidirectional(getattr(L, kind)(2, return_sequences=True), merge_mode=merge) for merge in merges]
    model = randomise(keras.Model(x, keras.tree.flatten([layer(x) for layer in layers])))
    artifact = export.export_model(model, tmp_path / "m.onnx")
    nodes = [n for n in onnx.load(str(artifact.path)).graph.node if n.op_type in ("LSTM", "GRU", "RNN")]
    assert [{a.name: a.s for a in node.attribute}["direction"] for node in nodes] == [b"bidirectional"] * len(merges)
    assert "Loop" not in artifact.report.ops


def test_the_metadata_of_litert_files_points_to_buffers_that_exist(artifact_of: Any) -> None:
    model = schema.Model.GetRootAs(artifact_of("tagger", "tflite").path.read_bytes(), 0)
    for i in range(model.MetadataLength()):
        assert model.Metadata(i).Buffer() < model.BuffersLength()


def test_both_directions_stay_side_by_side(tmp_path: Path) -> None:
    """ONNX's operator gives them so; to take them apart and put them together took a tenth of the time."""
    x = y = keras.Input((None, 3), name="x")
    for units in (4, 5):
        y = L.Bidirectional(L.LSTM(units, return_sequences=True))(y)
    artifact = export.export_model(keras.Model(x, y), tmp_path / "m.onnx")
    assert export.op_histogram(artifact.path) == {"LSTM": 2, "Transpose": 4, "Reshape": 2}
