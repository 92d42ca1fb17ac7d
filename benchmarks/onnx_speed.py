"""Our ONNX files against PyTorch's and Keras's own, in one run: `python -m benchmarks.onnx_speed`.

Needs torch 2.13 beside seqzoo. Prints the tables of docs/benchmarks.md.
"""

import functools
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import torch
from keras import layers

from benchmarks.interleaved import medians, table
from export import export_model

FEATURES, UNITS = 16, 64


class Stack(torch.nn.Module):
    """PyTorch's counterpart of `stack`."""

    def __init__(self, kind: str, depth: int, bidirectional: bool, sequences: bool) -> None:
        super().__init__()
        self.recurrent = getattr(torch.nn, kind)(
            FEATURES, UNITS, num_layers=depth, bidirectional=bidirectional, batch_first=True
        )
        self.sequences = sequences

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, time, features) -> all outputs or the last."""
        y, _ = self.recurrent(x)
        return y if self.sequences else y[:, -1]


def stack(kind: str, depth: int, bidirectional: bool, sequences: bool, masked: bool = False) -> keras.Model:
    """A stack of recurrent layers."""
    inputs = x = keras.Input((None, FEATURES))
    x = layers.Masking()(x) if masked else x
    for level in range(depth):
        layer = getattr(layers, kind)(UNITS, return_sequences=sequences or level + 1 < depth)
        x = (layers.Bidirectional(layer) if bidirectional else layer)(x)
    return keras.Model(inputs, x)


def session(path: Path) -> Any:
    """One thread, as for all peers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    loaded = onnxruntime.InferenceSession(str(path), options)
    name = loaded.get_inputs()[0].name
    return lambda x: loaded.run(None, {name: x})


def against_torch(folder: Path) -> list[list[object]]:
    """LSTM and GRU, batch 1, 8, 64, 50 steps."""
    rows: list[list[object]] = []
    for kind in ("LSTM", "GRU"):
        for depth, bidirectional, sequences in ((1, False, False), (1, False, True), (1, True, True), (3, False, True)):
            export_model(stack(kind, depth, bidirectional, sequences), folder / "ours.onnx")
            torch.onnx.export(
                Stack(kind, depth, bidirectional, sequences).eval(),
                (torch.randn(1, 50, FEATURES),),
                str(folder / "torch.onnx"),
                input_names=["x"],
                dynamic_axes={"x": {0: "batch", 1: "time"}},
                dynamo=False,
            )
            ours, theirs = session(folder / "ours.onnx"), session(folder / "torch.onnx")
            for batch in (1, 8, 64):
                x = np.random.default_rng(0).normal(size=(batch, 50, FEATURES)).astype("float32")
                calls = {"ours": functools.partial(ours, x), "torch": functools.partial(theirs, x)}
                us = medians(calls, repeats=41)
                form = f"{depth} x {'bi' if bidirectional else ''}{kind}, {'sequences' if sequences else 'last'}"
                rows.append([form, batch, f"{us['ours']:.0f}", f"{us['torch']:.0f}", f"{us['ours'] / us['torch']:.2f}"])
    return rows


def against_keras(folder: Path) -> list[list[object]]:
    """What Keras's own export leaves as loops, batch 1."""
    rows: list[list[object]] = []
    for name, kind, bidirectional, masked in (
        ("GRU", "GRU", False, False),
        ("bidirectional GRU", "GRU", True, False),
        ("masked LSTM", "LSTM", False, True),
    ):
        model = stack(kind, 1, bidirectional, True, masked)
        model(np.zeros((1, 2, FEATURES), "float32"))
        export_model(model, folder / "ours.onnx")
        model.export(str(folder / "keras.onnx"), format="onnx", verbose=False)
        ours, theirs = session(folder / "ours.onnx"), session(folder / "keras.onnx")
        for time in (50, 200):
            x = np.random.default_rng(0).normal(size=(1, time, FEATURES)).astype("float32")
            us = medians({"ours": functools.partial(ours, x), "keras": functools.partial(theirs, x)}, repeats=9)
            rows.append([name, time, f"{us['ours']:.0f}", f"{us['keras']:.0f}", f"{us['keras'] / us['ours']:.1f}"])
    return rows


def simple_rnn(folder: Path) -> list[list[object]]:
    """ONNX's RNN operator against the loop of Keras's own export, by batch."""
    rows: list[list[object]] = []
    model = stack("SimpleRNN", 1, False, True)
    model(np.zeros((1, 2, FEATURES), "float32"))
    export_model(model, folder / "ours.onnx")
    model.export(str(folder / "keras.onnx"), format="onnx", verbose=False)
    ours, theirs = session(folder / "ours.onnx"), session(folder / "keras.onnx")
    for batch in (1, 8, 64):
        x = np.random.default_rng(0).normal(size=(batch, 50, FEATURES)).astype("float32")
        us = medians({"ours": functools.partial(ours, x), "keras": functools.partial(theirs, x)})
        rows.append([batch, f"{us['ours']:.0f}", f"{us['keras']:.0f}", f"{us['ours'] / us['keras']:.2f}"])
    return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as room:
        print(table(["model, batch 1", "steps", "ours, us", "Keras, us", "times faster"], against_keras(Path(room))))
        print()
        print(
            table(["model, 50 steps", "batch", "ours, us", "PyTorch, us", "ours / PyTorch"], against_torch(Path(room)))
        )
        print()
        print(table(["SimpleRNN, batch", "ours, us", "Keras, us", "ours / Keras"], simple_rnn(Path(room))))
