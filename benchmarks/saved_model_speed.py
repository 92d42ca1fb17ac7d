"""Our SavedModels against Keras's own, in one run: `python -m benchmarks.saved_model_speed`.

Prints the table of docs/benchmarks.md.
"""

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.interleaved import medians, table
from export import export_model

FEATURES, UNITS = 16, 64


def serving(folder: Path) -> Callable[[tf.Tensor], Any]:
    """A SavedModel's function, which holds the variables by the model that it keeps."""
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]

    def call(x: tf.Tensor, kept: Any = loaded) -> Any:
        return signature(**{name: x})

    return call


def rows(folder: Path) -> list[list[object]]:
    """LSTM and GRU, with and without a mask."""
    found: list[list[object]] = []
    for kind, masked in (("LSTM", False), ("GRU", False), ("LSTM", True), ("GRU", True)):
        inputs = x = keras.Input((None, FEATURES))
        x = keras.layers.Masking()(x) if masked else x
        model = keras.Model(inputs, getattr(keras.layers, kind)(UNITS, return_sequences=True)(x))
        ours = serving(export_model(model, folder / f"{kind}{masked}", "saved_model", verify=False).path)
        model.export(str(folder / f"{kind}{masked}.keras"), format="tf_saved_model", verbose=False)
        theirs = serving(folder / f"{kind}{masked}.keras")
        for batch in (1, 64):
            for steps in (50, 200):
                given = tf.constant(np.random.default_rng(0).normal(size=(batch, steps, FEATURES)), tf.float32)
                calls = {"ours": functools.partial(ours, given), "keras": functools.partial(theirs, given)}
                us = medians(calls, repeats=9, clock=time.process_time)
                form = f"{'masked ' if masked else ''}{kind}"
                faster = f"{us['keras'] / us['ours']:.2f}"
                found.append([form, batch, steps, f"{us['ours']:.0f}", f"{us['keras']:.0f}", faster])
    return found


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as room:
        print(table(["model", "batch", "steps", "ours, us", "Keras, us", "times faster"], rows(Path(room))))
