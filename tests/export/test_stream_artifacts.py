"""Step models as files: fed by `export.Stream` in chunks of any size, they give what the model gives on the whole."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import export
from tests.export.causal_models import CAUSAL, model_of, random_causal
from tests.export.judging import SUFFIXES
from tests.export.random_models import randomise

L = keras.layers
FORMATS = ("tflite", "onnx", "saved_model")
NAMES = ("last state", "two valid convolutions")
SLOW_NAMES = tuple(name for name in CAUSAL if name not in NAMES)


def samples(artifact: export.Artifact, model: keras.Model, steps: int, seed: int) -> np.ndarray:
    shape = (1, steps, *model.inputs[0].shape[2:])
    rng = np.random.default_rng(seed)
    if model.inputs[0].dtype == "int32":
        return rng.integers(1, 9, shape).astype("int32")
    return rng.normal(size=shape).astype("float32")


def check(artifact: export.Artifact, model: keras.Model, steps: int = 120) -> None:
    """Two sequences, in turns and in chunks of 1, 7 and 160, then one of them again after a reset."""
    stream = export.Stream(artifact)
    steps = model.inputs[0].shape[1] or steps - steps % stream.chunk
    xs = [samples(artifact, model, steps, seed) for seed in (1, 2)]
    wanted = [np.asarray(keras.tree.flatten(tf.function(model)(x, training=False))[0]) for x in xs]
    streams, parts = [stream, stream.fork()], ([], [])
    for size, at in chunks(steps):
        for row in (0, 1):
            parts[row].append(first(streams[row].feed(xs[row][:, at : at + size])))
    for row in (0, 1):
        agrees(wanted[row], parts[row])
    stream.reset()
    agrees(wanted[1], [first(stream.feed(xs[1]))])


def chunks(steps: int) -> list[tuple[int, int]]:
    sizes, at = [1, 7, 1, 7, 160], 0
    found = []
    while at < steps:
        size = sizes[len(found) % len(sizes)]
        found.append((size, at))
        at += size
    return found


def first(outputs: dict[str, np.ndarray]) -> np.ndarray | None:
    return next(iter(outputs.values()), None)


def agrees(want: np.ndarray, parts: list[Any]) -> None:
    parts = [part for part in parts if part is not None]
    got = np.concatenate(parts, axis=1) if want.ndim > 2 else parts[-1]
    assert got.size
    np.testing.assert_allclose(got, want[:, : got.shape[1]] if want.ndim > 2 else want, rtol=1e-3, atol=5e-5)


@pytest.fixture(scope="module")
def artifact_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[tuple[str, str], tuple[export.Artifact, keras.Model]] = {}

    def get(name: str, fmt: str) -> tuple[export.Artifact, keras.Model]:
        if (name, fmt) not in made:
            model = CAUSAL[name]()
            path = tmp_path_factory.mktemp("streams") / f"model{SUFFIXES[fmt]}"
            made[name, fmt] = export.export_model(model, path, streaming=True), model
        return made[name, fmt]

    return get


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_fed_in_chunks(name: str, fmt: str, artifact_of: Any) -> None:
    check(*artifact_of(name, fmt))


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("name", [name for name in SLOW_NAMES if name != "stateful"])
def test_the_others_fed_in_chunks(name: str, fmt: str, artifact_of: Any) -> None:
    check(*artifact_of(name, fmt))


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("seed", range(200, 212))
def test_random_models_fed_in_chunks(seed: int, fmt: str, tmp_path: Path) -> None:
    model = random_causal(seed)
    check(export.export_model(model, tmp_path, fmt, streaming=True), model)


def test_litert_has_three_signatures_that_share_weights_and_a_plain_invoke_is_the_step(tmp_path: Path) -> None:
    model = model_of(lambda x: L.Dense(2)(L.LSTM(48, return_sequences=True)(x)), (None, 32))
    both = export.export_model(model, tmp_path / "step.tflite", streaming=True)
    whole = export.export_model(model, tmp_path / "whole.tflite")
    interpreter = Interpreter(str(both.path))
    assert set(interpreter.get_signature_list()) == {"serve", "step", "reset"}
    assert both.bytes < whole.bytes + 12_000
    states = interpreter.get_signature_runner("reset")()
    step = interpreter.get_signature_runner("step")
    x = np.random.default_rng(0).normal(size=(1, 5, 32)).astype("float32")
    got = []
    for t in range(5):
        outputs = step(x=x[:, t : t + 1], **states)
        states = {name: outputs[name] for name in states}
        got.append(outputs["dense"] if "dense" in outputs else outputs[model.output_names[0]])
    np.testing.assert_allclose(np.concatenate(got, 1), model(x), rtol=1e-3, atol=1e-5)
    shapes = {tuple(d["shape"]) for d in interpreter.get_input_details()}
    assert shapes == {(1, 1, 32), (1, 48)}
    ops = export.op_histogram(both.path)
    assert not any("FLEX" in op.upper() or "CUSTOM" in op.upper() for op in ops)


def test_onnx_takes_any_number_of_streams_by_native_nodes(tmp_path: Path) -> None:
    model = CAUSAL["last state"]()
    artifact = export.export_model(model, tmp_path / "step.onnx", streaming=True, require_native=True)
    ops = export.op_histogram(artifact.path)
    assert (ops["LSTM"], ops["GRU"], ops.get("Loop", 0)) == (1, 1, 0)
    session = onnxruntime.InferenceSession(str(artifact.path), providers=["CPUExecutionProvider"])
    inputs, outputs = [v.name for v in session.get_inputs()], [v.name for v in session.get_outputs()]
    assert outputs[1:] == [f"{name}_out" for name in inputs[1:]]
    x = np.random.default_rng(0).normal(size=(3, 40, 5)).astype("float32")
    got = export.Stream(artifact, batch=3).feed(x)
    np.testing.assert_allclose(first(got), model(x), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(_bound(session, x), model(x), rtol=1e-3, atol=1e-5)


def _bound(session: onnxruntime.InferenceSession, x: np.ndarray) -> np.ndarray:
    """The last output by IO binding: each step's states stay where they are, as the next step's inputs."""
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    sizes = {v.name: [len(x), *v.shape[1:]] for v in session.get_inputs()[1:]}
    states = {name: value(np.zeros(size, np.float32)) for name, size in sizes.items()}
    name = session.get_outputs()[0].name
    for t in range(x.shape[1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", value(np.ascontiguousarray(x[:, t : t + 1])))
        for state, before in states.items():
            binding.bind_ortvalue_input(state, before)
        binding.bind_output(name)
        for state in states:
            binding.bind_output(f"{state}_out")
        session.run_with_iobinding(binding)
        made = binding.get_outputs()
        states = dict(zip(states, made[1:], strict=True))
    return np.asarray(made[0].numpy())


def test_saved_model_has_three_signatures(tmp_path: Path) -> None:
    model = CAUSAL["own cell"]()
    artifact = export.export_model(model, tmp_path / "step.saved_model", streaming=True)
    signatures = tf.saved_model.load(str(artifact.path)).signatures
    assert set(signatures) == {"serve", "step", "reset"}
    states = signatures["reset"](batch=tf.constant(2))
    want = export.to_streaming(model).initial_states(2)
    for name, state in want.items():
        np.testing.assert_array_equal(states[name], state)


def test_a_longer_chunk_and_what_is_left_over(tmp_path: Path) -> None:
    model = CAUSAL["lstm"]()
    artifact = export.export_model(model, tmp_path / "step.tflite", streaming=True, chunk=4)
    stream = export.Stream(artifact)
    x = samples(artifact, model, 10, 0)
    assert stream.chunk == 4
    assert first(stream.feed(x[0, :3])).shape == (0, 4)
    got = first(stream.feed(x[0, 3:]))
    np.testing.assert_allclose(got, np.asarray(model(x))[0, :8], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("fmt", ["tflite", pytest.param("saved_model", marks=pytest.mark.slow)])
def test_masked_steps_on_the_border_of_longer_chunks(fmt: str, tmp_path: Path) -> None:
    """A chunk that begins masked repeats the last output of the chunk before, which ended masked."""
    model = model_of(lambda x: L.Dense(2)(L.GRU(3, return_sequences=True)(L.Masking()(x))))
    artifact = export.export_model(model, tmp_path, fmt, streaming=True, chunk=4, verify=False)
    x = samples(artifact, model, 16, 0)
    x[:, 2:6] = x[:, 15:] = 0
    np.testing.assert_allclose(first(export.Stream(artifact).feed(x)), model(x), rtol=1e-3, atol=1e-5)


def test_a_chunk_that_no_sequence_fills_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(export.VerificationError, match=r"long enough for chunks of 32 steps, so nothing is proven"):
        export.export_model(CAUSAL["fixed length"](), tmp_path / "m.onnx", streaming=True, chunk=32)


def test_a_mask_that_the_file_lacks_is_a_miss(tmp_path: Path) -> None:
    masked, plain = (
        model_of(lambda x, f=f: L.LSTM(3, return_sequences=True, name="rnn")(f(x))) for f in (L.Masking(), lambda x: x)
    )
    for options in ({"streaming": True}, {"batch": 1}):
        artifact = export.export_model(plain, tmp_path / "m.onnx", verify=False, **options)
        assert any("values differ" in miss for miss in export.verify(masked, artifact).misses)


def test_layers_and_inputs_of_any_name(tmp_path: Path) -> None:
    x = keras.Input((None, 5), name="x-in.1")
    model = randomise(keras.Model(x, L.SimpleRNN(2, return_sequences=True, name="rnn-1.a")(x)))
    artifact = export.export_model(model, tmp_path / "m.saved_model", streaming=True)
    (state,) = export.to_streaming(model).initial_states()
    assert state == "rnn_1_a_h"
    assert export.Stream(artifact).feed(np.ones((3, 5), "float32"))["rnn-1.a"].shape == (3, 2)


@pytest.mark.parametrize(("name", "fmt"), [("gru_h", "tflite"), ("gru_h_out", "onnx")])
def test_an_output_named_like_a_state_is_refused(name: str, fmt: str, tmp_path: Path) -> None:
    x = keras.Input((None, 5), name="x")
    y = L.GRU(2, return_sequences=True, name="gru")(x)
    with pytest.raises(export.ExportError, match=f"an output that is named like a state; rename '{name}'$"):
        export.export_model(keras.Model(x, {"y": y, name: L.Dense(2)(y)}), tmp_path, fmt, streaming=True)


@pytest.mark.parametrize(("name", "fmt"), [("gru h", "saved_model"), ("GRU_h", "saved_model"), ("gru_h_out", "onnx")])
def test_an_input_named_like_a_state_is_refused(name: str, fmt: str, tmp_path: Path) -> None:
    x = keras.Input((None, 5), name=name)
    model = keras.Model(x, L.GRU(2, return_sequences=True, name="gru")(x))
    with pytest.raises(export.ExportError, match=f"an input that is named like a state; rename '{name}'$"):
        export.export_model(model, tmp_path, fmt, streaming=True)


def test_samples_are_fed_as_they_come(artifact_of: Any) -> None:
    """One channel of audio, without axes for batch and channels."""
    artifact, model = artifact_of("own front end", "onnx")
    audio = samples(artifact, model, 200, 0)[0].astype("float64")
    parts = list(export.Stream(artifact).run(np.array_split(audio, 9)))
    got = np.concatenate([first(part) for part in parts])
    np.testing.assert_allclose(got, np.asarray(model(audio[None]))[0, : len(got)], rtol=1e-3, atol=1e-4)


def test_the_manifest_says_how_to_feed_the_step(tmp_path: Path) -> None:
    export.export_model(
        CAUSAL["two valid convolutions"](), tmp_path, "tflite", streaming=True, metadata={"sample_rate": 8000}
    )
    entry = json.loads((tmp_path / "manifest.json").read_text())["artifacts"]["model.tflite"]
    stream = entry["stream"]
    assert (stream["chunk"], stream["hop"], stream["inputs"]) == (4, 4, ["x"])
    assert [output["warmup"] for output in stream["outputs"].values()] == [2]
    assert entry["sample_rate"] == 8000


@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
def test_the_client_needs_no_tensorflow(fmt: str, artifact_of: Any) -> None:
    artifact, _ = artifact_of("last state", fmt)
    code = (
        "import sys, numpy as np, export\n"
        f"y = export.Stream({str(artifact.path)!r}).feed(np.ones((9, 5), 'float32'))\n"
        "assert y and not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=120)


def test_what_does_not_fit_is_said(artifact_of: Any, tmp_path: Path) -> None:
    artifact, model = artifact_of("last state", "tflite")
    stream = export.Stream(artifact)
    with pytest.raises(export.ArtifactError, match=r"wants 'x' as float32 of shape \(steps, 5\).*not float32 of shape"):
        stream.feed(np.zeros((2, 4), "float32"))
    with pytest.raises(export.ArtifactError, match=r"not int64"):
        stream.feed(np.zeros((2, 5), "int64"))
    with pytest.raises(export.ArtifactError, match=r"exported for batch 1, not 2"):
        export.Stream(artifact, batch=2)
    whole = export.export_model(model, tmp_path / "whole.tflite")
    with pytest.raises(export.ArtifactError, match=r"streaming=True"):
        export.Stream(whole)
    with pytest.raises(export.ExportError, match=r"chunk=4 must be a multiple of 3"):
        export.export_model(CAUSAL["strides"](), tmp_path / "s.tflite", streaming=True, chunk=4)
    with pytest.raises(export.NotCausalError, match="go_backwards"):
        export.export_model(model_of(L.GRU(2, go_backwards=True)), tmp_path / "b.onnx", streaming=True)
    assert not (tmp_path / "b.onnx").exists()


def test_a_step_that_does_something_else_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose states come back as they went in: right for the first chunk only."""
    from export.streaming import StreamingModel

    model = CAUSAL["lstm"]()
    step = export.to_streaming(model)
    whole = StreamingModel.call
    monkeypatch.setattr(StreamingModel, "call", lambda self, x, states=None: (whole(self, x, states)[0], dict(states)))
    with pytest.raises(export.VerificationError, match="in odd chunks"):
        export.export_model(step, tmp_path / "step.onnx")
    assert not (tmp_path / "step.onnx").exists()
