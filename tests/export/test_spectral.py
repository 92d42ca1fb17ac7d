"""Fourier transforms before a recurrent layer: runtimes have some lengths, or none; NumPy's is the judge."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
from tests.export.judging import SUFFIXES, plain_runtime

LENGTHS = ((25, 25), (25, 30), (25, 20), (16, 16), (25, 32))  # a frame's samples, the transform's length


class Spectra(keras.layers.Layer):
    """Magnitude, real and imaginary parts of transforms of several lengths, each of the first samples of a frame."""

    def call(self, frames: Any) -> dict[str, Any]:
        """(batch, time, samples) -> (batch, time, frequencies) each."""
        outputs = {}
        for size, length in LENGTHS:
            z = tf.signal.rfft(frames[..., :size], [length])
            outputs[f"abs_{size}_{length}"] = tf.abs(z)
            outputs[f"real_{size}_{length}"], outputs[f"imag_{size}_{length}"] = tf.math.real(z), tf.math.imag(z)
        return outputs


@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
def test_transforms_of_any_length(fmt: str, tmp_path: Path) -> None:
    x = keras.Input((None, 25), name="x")
    artifact = export.export_model(keras.Model(x, Spectra()(x)), tmp_path / f"m{SUFFIXES[fmt]}", verify=False)
    frames = np.random.default_rng(0).normal(size=(2, 3, 25)).astype("float32")
    got = plain_runtime(artifact.path)({"x": frames})
    for size, length in LENGTHS:
        z = np.fft.rfft(frames[..., :size], length)
        for part, want in {"abs": np.abs(z), "real": z.real, "imag": z.imag}.items():
            np.testing.assert_allclose(got[f"{part}_{size}_{length}"], want, atol=1e-5, err_msg=f"{part} {length}")


@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
def test_a_spectrogram_of_25_milliseconds_at_8_khz(fmt: str, tmp_path: Path) -> None:
    """keras.ops.stft, whose windows of 200 samples are no power of two, in front of a GRU."""
    samples = keras.Input((None,), name="samples")
    real, imaginary = keras.ops.stft(samples, 200, 80, 200)
    features = keras.ops.log(real * real + imaginary * imaginary + 1e-3)
    model = keras.Model(samples, keras.layers.GRU(3)(features))
    artifact = export.export_model(model, tmp_path / f"m{SUFFIXES[fmt]}", verify=False)
    x = np.random.default_rng(0).normal(size=(2, 800)).astype("float32")
    (got,) = plain_runtime(artifact.path)({"samples": x}).values()
    np.testing.assert_allclose(got, np.asarray(model(x)), atol=2e-5)
