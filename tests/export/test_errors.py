"""Each wrong use says in one line what was wrong, with what value, and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from export import files, formats, manifest
from export.errors import first_line
from tests.export import user_cells

L = keras.layers


def message(function: Callable[..., Any], *args: Any, error: Any = export.ExportError, **kwargs: Any) -> str:
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text
    assert 20 < len(text) < 500
    return text


def test_unknown_format_suggests_the_near_one(model_of: Any, tmp_path: Path) -> None:
    text = message(export.export_model, model_of("regressor"), tmp_path / "m", format="tflit")
    assert "unknown format 'tflit'" in text
    assert "did you mean 'tflite'?" in text
    assert not list(tmp_path.iterdir())


def test_unknown_format_without_a_near_one_lists_all() -> None:
    text = message(formats.get_format, "coreml")
    assert all(name in text for name in formats.FORMATS)


def test_suffix_and_format_disagree(model_of: Any, tmp_path: Path) -> None:
    text = message(export.export_model, model_of("regressor"), tmp_path / "m.onnx", format="tflite")
    assert "m.onnx" in text
    assert "onnx" in text
    assert ".tflite" in text


def test_no_format_and_no_suffix(model_of: Any, tmp_path: Path) -> None:
    text = message(export.export_model, model_of("regressor"), tmp_path / "folder")
    assert all(name in text for name in formats.FORMATS)


@pytest.mark.parametrize("model", [None, "model.keras", np.zeros(3)])
def test_no_model(model: Any, tmp_path: Path) -> None:
    assert type(model).__name__ in message(export.export_model, model, tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", ["subclassed", "sequential"])
def test_a_model_that_was_never_called_asks_for_the_signature(kind: str, tmp_path: Path) -> None:
    steps = [L.LSTM(2), L.Dense(1)]
    model = user_cells.Chain(steps) if kind == "subclassed" else keras.Sequential(steps)
    text = message(export.export_model, model, tmp_path / "m.onnx")
    assert "input_signature" in text
    assert "never called" in text
    assert not list(tmp_path.glob("*.onnx"))


def test_a_signature_without_shape_names_the_input(tmp_path: Path) -> None:
    model = user_cells.Chain([L.LSTM(2)])
    text = message(export.export_model, model, tmp_path / "m.onnx", input_signature=[keras.InputSpec(dtype="float32")])
    assert "'inputs'" in text
    assert "shape" in text


def test_a_signature_that_does_not_fit_says_so(tmp_path: Path) -> None:
    spec = keras.InputSpec(shape=(None, 7), dtype="float32")
    message(export.export_model, user_cells.Chain([L.LSTM(2)]), tmp_path / "m.onnx", input_signature=[spec])


@pytest.mark.parametrize("opset", [0, 13, 999])
def test_an_opset_out_of_range_names_the_range(opset: int, model_of: Any, tmp_path: Path) -> None:
    text = message(export.export_model, model_of("regressor"), tmp_path / "m.onnx", opset=opset)
    assert f"opset {opset}" in text
    assert "14 to" in text


def test_the_newest_opset_is_one_that_onnxruntime_loads(tmp_path: Path) -> None:
    import onnx

    model = keras.Sequential([keras.Input((None, 3)), L.SimpleRNN(2)])
    text = message(export.export_model, model, tmp_path / "m.onnx", opset=999)
    newest = int(text.rpartition(" ")[2])
    assert 18 <= newest <= onnx.defs.onnx_opset_version()
    assert export.export_model(model, tmp_path / "m.onnx", opset=newest).report.passed


class Lgamma(keras.layers.Layer):
    """Uses an op that no runtime but TensorFlow has."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.math.igamma(tf.abs(x) + 1.0, tf.abs(x))


@pytest.mark.parametrize(("suffix", "op"), [(".tflite", "Igamma"), (".onnx", "Igamma")])
def test_an_op_that_the_format_lacks_is_named(suffix: str, op: str, tmp_path: Path) -> None:
    x = keras.Input((None, 3))
    model = keras.Model(x, Lgamma()(L.LSTM(2)(x)))
    assert op in message(export.export_model, model, tmp_path / f"m{suffix}")
    assert not list(tmp_path.iterdir())


def test_require_native_names_the_layer_and_the_reason(tmp_path: Path) -> None:
    x = keras.Input((None, 3))
    model = keras.Model(x, L.GRU(2, activation="silu", name="my_gru")(x))
    text = message(export.export_model, model, tmp_path / "m.onnx", require_native=True)
    assert "'my_gru'" in text
    assert "silu" in text


def test_a_folder_that_cannot_be_written(model_of: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    assert str(blocked) in message(export.export_model, model_of("regressor"), blocked / "m.onnx")


def test_a_read_only_folder(model_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)  # chmod does not stop root
    text = message(export.export_model, model_of("regressor"), tmp_path / "m.onnx")
    assert "Permission denied" in text
    assert str(tmp_path) in text


def test_a_full_disk(model_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert "No space left" in message(export.export_model, model_of("regressor"), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_what_evaluate_lacks_is_no_fault_of_the_folder(tmp_path: Path) -> None:
    x = keras.Input((None, 3), name="features")
    model, path = keras.Model(x, L.GRU(2)(x)), tmp_path / "m.onnx"

    def lacking(predict: Any) -> dict[str, float]:
        return {"mean": float((tmp_path / "labels.txt").read_text())}

    text = message(export.export_model, model, path, evaluate=lacking)
    assert "evaluate failed: FileNotFoundError" in text
    assert "labels.txt" in text
    misnamed = export.evaluate_on({"feature": np.zeros((3, 4, 3), "float32")}, np.zeros(3))
    text = message(export.export_model, model, path, evaluate=misnamed)
    assert text == "the model's inputs are ['features'], not ['feature']"
    with pytest.raises(export.ExportError, match="labels"), files.scratch(tmp_path / "out"):
        (tmp_path / "labels.txt").read_text()


def test_half_a_surrogate_pair_is_no_metadata() -> None:
    text = message(manifest.with_metadata, {}, {"labels": ["\ud800"]})
    assert text.startswith("metadata must be plain JSON values: ")


@pytest.mark.parametrize("word", ["code", "tensors", "resolver", "model"])
def test_metadata_does_not_take_the_manifests_words(word: str) -> None:
    assert repr(word) in message(manifest.with_metadata, {}, {word: "mine"})


def test_first_line_finds_the_converters_own_word() -> None:
    text = "loc(callsite(\n  at foo.py\nerror: 'tf.Foo' op is neither a custom op nor a flex op\nmore"
    assert first_line(ValueError(text)) == "'tf.Foo' op is neither a custom op nor a flex op"
    assert first_line(ValueError("")) == "ValueError"
    assert len(first_line(ValueError("x" * 1000))) <= 300


def test_first_line_skips_what_keras_says_of_every_error() -> None:
    text = "Exception encountered when calling LSTM.call().\n\n\x1b[1mInput 0 has the wrong shape\x1b[0m\n\nArguments"
    assert first_line(ValueError(text)) == "Input 0 has the wrong shape"


def test_the_package_says_what_it_lacks() -> None:
    with pytest.raises(AttributeError, match="export_modle"):
        export.export_modle  # noqa: B018
    assert all(hasattr(export, name) for name in export.__all__)
