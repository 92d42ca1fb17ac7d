"""The log mel spectrogram against NumPy's Fourier transform."""

import keras
import numpy as np
import pytest

from zoo.layers import LogMel

RATE, FRAME, STEP, BANDS = 8000, 200, 160, 32


def layer(**changes):
    return LogMel(**({"sample_rate": RATE, "frame": FRAME, "step": STEP, "bands": BANDS} | changes))


def run(model, samples):
    return keras.ops.convert_to_numpy(model(np.asarray(samples, "float32")))


def triangles():
    """HTK's: corners evenly spaced in mel, each triangle a line up and a line down."""

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    corners = np.interp(np.linspace(mel(60), mel(4000), BANDS + 2), mel(np.arange(4001)), np.arange(4001))
    frequencies = np.fft.rfftfreq(FRAME, 1 / RATE)
    return np.stack([np.interp(frequencies, corners[b : b + 3], [0, 1, 0]) for b in range(BANDS)], axis=1)


def test_equals_the_fourier_transform_of_each_frame():
    samples = np.random.default_rng(0).normal(0, 0.2, (2, 1000, 1))
    window = np.hanning(FRAME + 1)[:-1]
    frames = np.stack([samples[:, at : at + FRAME, 0] for at in range(0, 1000 - FRAME + 1, STEP)], axis=1)
    power = np.abs(np.fft.rfft(window * frames)) ** 2
    found = run(layer(), samples)
    assert found.shape == (2, 6, BANDS) == layer().compute_output_shape((2, 1000, 1))
    np.testing.assert_allclose(found, np.log(np.maximum(power @ triangles(), 1e-6)), atol=2e-3)


@pytest.mark.parametrize("hertz", [300, 1000, 2500])
def test_a_tone_is_loudest_in_its_band(hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(FRAME) / RATE)[None, :, None]
    assert run(layer(), tone)[0, 0].argmax() == triangles()[round(hertz / RATE * FRAME)].argmax()


def test_silence_is_the_floor():
    assert (run(layer(floor=1e-3), np.zeros((1, 400, 1))) == np.float32(np.log(np.float32(1e-3)))).all()


def test_a_frame_sees_its_window_and_nothing_else():
    samples = np.random.default_rng(1).normal(0, 0.2, (1, 1000, 1))
    frame, step = layer().time_window
    before = run(layer(), samples)
    changed = samples.copy()
    changed[:, 2 * step + frame :] += 1
    changed[:, : 2 * step] += 1
    after = run(layer(), changed)
    np.testing.assert_array_equal(after[:, 2], before[:, 2])
    assert (after[:, 3] != before[:, 3]).any()
    assert (after[:, 1] != before[:, 1]).any()


def test_is_the_same_when_saved_and_loaded(tmp_path):
    inputs = keras.Input((None, 1), name="samples")
    model = keras.Model(inputs, layer(lowest=100.0, highest=3000.0, floor=1e-4, bands=20)(inputs))
    model.save(tmp_path / "model.keras")
    samples = np.random.default_rng(2).normal(0, 0.2, (1, 500, 1))
    np.testing.assert_array_equal(run(keras.models.load_model(tmp_path / "model.keras"), samples), run(model, samples))
    assert not model.weights, "there is nothing to train"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": 201}, "step at most frame; got 8000, 200, 201 and 32"),
        ({"bands": 0}, "at least 1"),
        ({"lowest": 4000.0}, "need 0 <= lowest < highest <= 4000 Hz, got 4000 and 4000"),
        ({"highest": 5000.0}, "got 60 and 5000"),
        ({"floor": 0.0}, "floor must be more than 0, got 0.0"),
        ({"bands": 128}, "128 bands are too many for a frame of 200 samples"),
    ],
)
def test_nonsense_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        layer(**changes)
