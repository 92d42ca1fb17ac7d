"""`seqzoo export` with words that do not fit: one clear line, and nothing half-written; then the words that do."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from recipes import cli

L = keras.layers
FILES = {
    "typical.npz": {"x": np.random.default_rng(0).normal(size=(8, 20, 5)).astype("float32")},
    "other_name.npz": {"z": np.zeros((8, 20, 5), "float32")},
    "other_shape.npz": {"x": np.zeros((8, 20, 6), "float32")},
    "none.npz": {"x": np.zeros((0, 20, 5), "float32")},
    "nan.npz": {"x": np.full((8, 20, 5), np.nan, "float32")},
}
TEXTS = {
    "broken.json": "{",
    "list.json": "[1]",
    "nan.json": '{"rate": NaN}',
    "own.json": '{"inputs": []}',
    "no.npz": "?",
}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    layers = {
        "lstm": L.LSTM(6, return_sequences=True, name="rnn"),
        "gru": L.GRU(6, return_sequences=True, name="rnn"),
        "both": L.Bidirectional(L.LSTM(6, return_sequences=True), name="both"),
    }
    for name, layer in layers.items():
        x = keras.Input((None, 5), name="x")
        keras.Model(x, L.Dense(3, name="y")(layer(x))).save(folder / f"{name}.keras")
    for name, arrays in FILES.items():
        np.savez(folder / name, **arrays)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def seqzoo(capfd, room: Path, out: Path, words: str) -> tuple[int, str, str]:
    """Runs `seqzoo export` on words; files are those of the room."""
    model, *others = words.split()
    found = [str(room / word) if word.endswith((".npz", ".json")) else word for word in others]
    capfd.readouterr()
    code = cli.main(["export", str(room / f"{model}.keras"), *found, "--out", str(out)])
    return (code, *capfd.readouterr())


WRONG = {
    # A microcontroller
    "lstm --target mikro": "--target: unknown choice 'mikro'; did you mean 'micro'?",
    "lstm --target micro": "input 'x' has the shape (1, None, 5); a microcontroller wants it fixed: pass time=",
    "lstm --target micro --time 9 --batch 4": "a microcontroller takes one row at a time, not batch=4; leave batch out",
    "lstm --target micro --time 9 --to onnx": "onnx: a microcontroller runs tflite files, not onnx",
    "lstm --target micro --time 9 --precision int8": "int8_full needs calibration data: pass calibration=, a few "
    "hundred typical inputs by name; the nearest that works without: precision 'float32'",
    "lstm --target micro --time 9 --precision float16": "no float16: the micro runtime unpacks no weights; the nearest "
    "that works: int8 or float32",
    "lstm --target micro --time 9 --precision int8 --calibration typical.npz": "input 'x' should be float32 of shape "
    "(1, 9, 5), not of shape (1, 20, 5)",
    "gru --target micro --time 9": "layer 'rnn' is a GRU, which has no fused op; export it as a step model",
    # Steps
    "both --streaming --to onnx": "layer 'both' (Bidirectional) can't be streamed: it reads the sequence from",
    "lstm --streaming --time 4 --to onnx": "leave batch and time out",
    "lstm --streaming --batch 2 --to tflite": "leave batch and time out",
    "lstm --streaming --chunk 0 --to tflite": "chunk=0 must be a whole number of at least 1",
    "lstm --chunk 4 --to tflite": "chunk=4 is for a step model; add streaming=True",
    # Sizes
    "lstm --batch 0 --to onnx": "batch=0 must be a whole number of at least 1, or left out",
    "lstm --time -3 --to onnx": "time=-3 must be a whole number of at least 1, or left out",
    "lstm --opset 3 --to onnx": "ONNX opset 3 is out of range: choose from 14",
    # Metadata
    "lstm --metadata broken.json": "broken.json is not JSON",
    "lstm --metadata list.json": "list.json holds no JSON object",
    "lstm --metadata missing.json": "missing.json: No such file or directory",
    "lstm --metadata nan.json --to onnx": "metadata must be plain JSON values: ",
    "lstm --metadata own.json --to onnx": "metadata 'inputs' is a word of the manifest's own",
    # Precision
    "lstm --precision int7": "--precision: unknown choice 'int7'; did you mean 'int8'?",
    "lstm --precision int8 --to saved_model": "saved_model has no int8",
    "lstm --precision int16x8 --to onnx --calibration typical.npz": "onnx has no int16x8",
    "lstm --precision int8_full --to tflite": "int8_full needs calibration data",
    "lstm --precision int8_full --to tflite --calibration typical.npz": "layer 'rnn' is a while loop over the sequence",
    "lstm --precision int8_full --streaming --to onnx --calibration typical.npz": "no calibrated kernel for recurrent",
    "lstm --precision int8 --to onnx --max-metric-drop -1": "max_metric_drop=-1.0 must be at least 0 points",
    # Data
    "lstm --precision int8 --to onnx --calibration other_name.npz": "calibration for input 'x' is missing; there is",
    "lstm --precision int8 --to onnx --calibration other_shape.npz": "not of shape (1, 20, 6)",
    "lstm --precision int8 --to onnx --calibration none.npz": "the calibration data hold no example",
    "lstm --precision int8 --to onnx --calibration nan.npz": "holds values that are not finite",
    "lstm --precision int8 --to onnx --calibration missing.npz": "No such file or directory",
    "lstm --precision int8 --to onnx --calibration no.npz": "as an .npz file",
    "lstm --precision int8 --to onnx --data typical.npz": "holds no array 'targets', but x",
    "missing --to onnx": "missing.keras: No such file or directory",
}


@pytest.mark.parametrize("words", WRONG)
def test_one_line_and_nothing_half_written(words, room, tmp_path, capfd):
    code, out, err = seqzoo(capfd, room, tmp_path / "out", words)
    assert code in (1, 2)
    assert out == ""
    assert WRONG[words] in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_out_is_a_folder_and_no_file(room, tmp_path, capfd):
    code, _, err = seqzoo(capfd, room, tmp_path / "new" / "model.tflite", "lstm --to tflite")
    assert code == 1
    assert f"model.tflite' names a file; pass {str(tmp_path / 'new')!r}" in err
    assert not list(tmp_path.iterdir())


def test_a_format_that_fails_leaves_the_others(room, tmp_path, capfd):
    """An int8 file is written for LiteRT; SavedModel has no such thing, and is named."""
    code, out, err = seqzoo(capfd, room, tmp_path, "lstm --precision int8 --to tflite saved_model")
    assert code == 1
    assert "model.tflite" in out
    assert err.startswith("error: saved_model: saved_model has no int8")
    assert {path.name for path in tmp_path.iterdir()} == {"model.tflite", "manifest.json"}


def test_a_failed_export_takes_back_no_older_file(room, tmp_path, capfd):
    assert seqzoo(capfd, room, tmp_path, "lstm --to onnx")[0] == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert seqzoo(capfd, room, tmp_path, "both --streaming --to onnx")[0] == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "files"),
    [
        ("lstm --target micro --time 9", {"model.tflite", "model.h", "model.cc", "main.cc", "manifest.json"}),
        ("gru --target micro --streaming", {"model.tflite", "model.h", "model.cc", "main.cc", "manifest.json"}),
        ("gru --streaming", {"model.tflite", "model.onnx", "model.saved_model", "manifest.json"}),
        ("gru --streaming --chunk 4 --to tflite", {"model.tflite", "manifest.json"}),
        ("lstm --batch 2 --time 7 --to tflite onnx", {"model.tflite", "model.onnx", "manifest.json"}),
        ("lstm --precision float16 --streaming", {"model.tflite", "model.onnx", "manifest.json"}),
    ],
)  # fmt: skip
def test_words_that_fit(words, files, room, tmp_path, capfd):
    code, out, err = seqzoo(capfd, room, tmp_path, words)
    assert (code, err) == (0, "")
    assert "model.tflite" in out
    assert {path.name for path in tmp_path.iterdir()} == files
    assert set(json.loads((tmp_path / "manifest.json").read_text())["artifacts"]) == {
        name for name in files if name.startswith("model.") and not name.endswith((".h", ".cc"))
    }
