from typing import Any

import keras
import numpy as np
from keras import ops

Array = np.ndarray[Any, np.dtype[Any]]


@keras.saving.register_keras_serializable(package="seqzoo")
class LogMel(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """The log mel spectrogram of samples, frame by frame, without looking ahead.

    Equation:
        X_tk = sum_n w_n x_{t step + n} exp(-2 pi i k n / frame),  w the Hann window, k = 0 ... frame / 2
        y_tb = log(max(floor, sum_k M_kb |X_tk|^2)),  M the triangles of HTK's mel scale, each with its peak at 1

    (batch, time, 1) -> (batch, 1 + (time - frame) / step, bands), the quotient rounded down; each frame is whole.
    `keras.layers.MelSpectrogram` centres its frames, so that they see samples that have not come yet. Here both sums
    are products with constant matrices, which every runtime has; nothing is trained.
    References: Davis & Mermelstein 1980, doi:10.1109/TASSP.1980.1163420; Young et al. 2006, The HTK Book, section 5.4.

    Attributes:
        time_window: (frame, step) in samples; by this name, whatever runs the layer on a sequence in chunks knows what
            one output sees.
    """

    def __init__(
        self,
        sample_rate: int,
        frame: int,
        step: int,
        bands: int = 32,
        lowest: float = 60.0,
        highest: float | None = None,
        floor: float = 1e-6,
        **options: Any,
    ) -> None:
        """Makes the layer.

        Args:
            sample_rate: Samples a second.
            frame: Samples that one output sees.
            step: Samples from one output to the next, at most the frame.
            bands: How many triangles there are, evenly spaced in mel.
            lowest: Where the first triangle begins, in Hz.
            highest: Where the last one ends, in Hz, at most half the sample rate. None: there.
            floor: The least power that is told from silence.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: A size below 1, a step beyond the frame, a frequency out of range, a floor of nothing, or so
                many bands that one falls between two frequencies of the frame.
        """
        super().__init__(**options)
        half = sample_rate / 2
        self.highest = half if highest is None else highest
        if min(sample_rate, frame, step, bands) < 1 or step > frame:
            raise ValueError(
                "sample_rate, frame, step and bands must be at least 1, and step at most frame; "
                f"got {sample_rate}, {frame}, {step} and {bands}"
            )
        if not 0 <= lowest < self.highest <= half:
            raise ValueError(f"need 0 <= lowest < highest <= {half:g} Hz, got {lowest:g} and {self.highest:g}")
        if not floor > 0:
            raise ValueError(f"floor must be more than 0, got {floor}")
        self.sample_rate, self.bands, self.lowest, self.floor = sample_rate, bands, lowest, floor
        self.time_window = (frame, step)
        self._triangles = mel_triangles(sample_rate, frame, bands, lowest, self.highest)
        if not (self._triangles.max(axis=0) > 0).all():
            raise ValueError(
                f"{bands} bands are too many for a frame of {frame} samples: one of them holds none of its "
                "frequencies; take fewer bands or a longer frame"
            )

    def call(self, inputs: Any) -> Any:
        """Takes (batch, time, 1) to (batch, frames, bands)."""
        frame, step = self.time_window
        count = 1 + (ops.shape(inputs)[1] - frame) // step
        places = ops.expand_dims(step * ops.arange(count), 0) + np.arange(frame)[:, None]
        # (batch, time) -> (batch, frame, frames)
        frames = ops.take(inputs[..., 0], places, axis=1)
        # Constants stand on the left: LiteRT's int8 rounds both sides of a product with a constant on its right to
        # 8 bits, in which the soft bands of a power spectrum are all zero.
        # (2 x frequencies, frame) x (batch, frame, frames) -> (batch, 2 x frequencies, frames)
        parts = ops.matmul(ops.convert_to_tensor(windowed_waves(frame).T, self.compute_dtype), frames)
        # |X|^2 is the sum of two squares: the triangles stand twice, so that one product adds and weighs
        triangles = ops.convert_to_tensor(np.concatenate([self._triangles.T] * 2, axis=1), self.compute_dtype)
        power = ops.transpose(ops.matmul(triangles, ops.square(parts)), (0, 2, 1))
        return ops.log(ops.maximum(power, self.floor))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Counts the frames."""
        frame, step = self.time_window
        time = input_shape[1]
        return (input_shape[0], None if time is None else 1 + (time - frame) // step, self.bands)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "frame": self.time_window[0],
            "step": self.time_window[1],
            "bands": self.bands,
            "lowest": self.lowest,
            "highest": self.highest,
            "floor": self.floor,
        }


def windowed_waves(frame: int) -> Array:
    """The windowed Fourier transform of a frame as a matrix.

    Args:
        frame: Samples.

    Returns:
        (frame, 2 x (frame // 2 + 1)) float32: the cosines, then the sines.
    """
    samples = np.arange(frame)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * samples / frame)
    angles = 2 * np.pi * np.outer(samples, np.arange(frame // 2 + 1)) / frame
    matrix: Array = (window[:, None] * np.concatenate([np.cos(angles), -np.sin(angles)], axis=1)).astype("float32")
    return matrix


def mel_triangles(sample_rate: int, frame: int, bands: int, lowest: float, highest: float) -> Array:
    """The weight of each frequency in each band.

    Args:
        sample_rate: Samples a second.
        frame: Samples.
        bands: How many triangles.
        lowest: Where the first begins, in Hz.
        highest: Where the last ends, in Hz.

    Returns:
        (frame // 2 + 1, bands) float32, between 0 and 1.
    """
    mel = np.linspace(2595 * np.log10(1 + lowest / 700), 2595 * np.log10(1 + highest / 700), bands + 2)
    corners = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.arange(frame // 2 + 1)[:, None] * sample_rate / frame
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    weights: Array = np.clip(np.minimum(rising, falling), 0, None).astype("float32")
    return weights
