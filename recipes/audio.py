"""What recipes on sound share: samples varied for training, files fed chunk by chunk, a spectrogram as a picture."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from markupsafe import Markup


def fixed_length(takes: Sequence[np.ndarray], samples: int) -> np.ndarray:
    """Gives recordings one length: silence behind the short ones, the long ones cut.

    Args:
        takes: (length,) int16 each.
        samples: The length.

    Returns:
        (takes, samples, 1) float32, -1 to 1.
    """
    together = np.zeros((len(takes), samples, 1), "float32")
    for row, take in zip(together, takes, strict=True):
        kept = take[:samples]
        row[: len(kept), 0] = kept / np.float32(32768)
    return together


def vary(samples: Any, seed: Any, *, speed: float, delay: int, gain: float, noise: float) -> Any:
    """Says the same faster or slower, later, louder or softer, and with noise over it.

    Args:
        samples: (batch, time, 1).
        seed: Two integers.
        speed: Each is read at a pace of 1 - speed to 1 + speed, linear between the samples.
        delay: Up to so many samples of silence come first.
        gain: Up to so many decibels more or less.
        noise: The standard deviation of white noise, uniform in amplitude, is up to this share of its loudest sample;
            soft is as likely as loud, over three decades.

    Returns:
        (batch, time, 1).
    """
    import tensorflow as tf

    count, length = tf.shape(samples)[0], samples.shape[1]

    def uniform(index: int, low: float, high: float, columns: int = 1) -> Any:
        return tf.random.stateless_uniform((count, columns), seed + index, low, high)

    # All takes end to end, with silence around each: numbered on through all, samples are found faster than by take.
    before, behind = math.ceil(delay * (1 + speed)), math.ceil(length * speed) + 2
    line = tf.reshape(tf.pad(samples[..., 0], [[0, 0], [before, behind]]), [-1])
    pace = uniform(1, 1 - speed, 1 + speed)
    places = tf.range(length, dtype=tf.float32)[None] * pace + (before - uniform(0, 0.0, float(delay)) * pace)
    index = tf.cast(places, tf.int32)
    share = places - tf.cast(index, tf.float32)
    index += tf.range(count)[:, None] * (before + length + behind)
    near = tf.gather(line, index)
    moved = near + share * (tf.gather(line, index + 1) - near)

    louder = 10 ** (uniform(2, -gain, gain) / 20)
    deviation = louder * noise * 10 ** uniform(3, -3.0, 0.0) * tf.reduce_max(tf.abs(samples), axis=1)
    # Normal noise would take as long to draw as all the rest; that of uniform amplitude deviates by 1 / sqrt(12).
    white = uniform(4, 0.0, 1.0, length) - 0.5
    return (louder * moved + math.sqrt(12) * deviation * white)[..., None]


def stream_metrics(path: Path, samples: np.ndarray, targets: np.ndarray, *, chunk: int, rate: int) -> dict[str, float]:
    """Feeds recordings to a step file as they would come from a microphone.

    Args:
        path: Exported with `streaming=True`.
        samples: (recordings, time, 1).
        targets: The class of each.
        chunk: Samples that come at a time.
        rate: Samples a second.

    Returns:
        `accuracy` of the last answer to each; `microseconds_per_chunk`; `real_time_factor`, which is that time as a
        share of the time that the chunk takes to be spoken.
    """
    import export

    stream = export.Stream(path)
    right, calls, spent = 0, 0, 0.0
    for recording, target in zip(samples, targets, strict=True):
        stream.reset()
        chunks = [recording[at : at + chunk] for at in range(0, len(recording), chunk)]
        last = np.zeros(1)
        begun = time.perf_counter()
        for part in chunks:
            answers = stream.feed(part)["logits"]
            last = answers[-1] if len(answers) else last
        spent += time.perf_counter() - begun
        calls += len(chunks)
        right += int(last.argmax() == target)
    each = spent / calls
    return {
        "accuracy": right / len(targets),
        "microseconds_per_chunk": 1e6 * each,
        "real_time_factor": each * rate / chunk,
    }


def running_prediction(
    spectrogram: np.ndarray, probabilities: np.ndarray, labels: Sequence[str], *, hop: float, title: str
) -> "Markup":
    """Draws what came in and, below it, what the model thought it was at each moment.

    Args:
        spectrogram: (frames, bands).
        probabilities: (frames, classes).
        labels: The classes' names.
        hop: Seconds from one frame to the next.
        title: What was said.

    Returns:
        A figure.
    """
    from matplotlib.figure import Figure

    from recipes import report

    figure = Figure(figsize=(4.4, 3.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
    seconds = hop * len(spectrogram)
    above.imshow(spectrogram.T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, 1))
    above.set(yticks=[], ylabel="mel bands", title=title)
    times = hop * (np.arange(len(probabilities)) + 1)
    colours = {0: "accent", 1: "second", 2: "good"}
    # The classes that were ever thought of most; the rest would be ten lines at the bottom.
    for place, index in enumerate(np.argsort(-probabilities.max(axis=0))[:3]):
        below.plot(times, probabilities[:, index], color=report.LIGHT[colours[place]], label=labels[index], linewidth=2)
    below.set(xlabel="seconds", ylabel="probability", ylim=(-0.02, 1.05))
    below.legend(frameon=False, fontsize=9, loc="center right")
    for axes in (above, below):
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=9, labelcolor=report.LIGHT["muted"])
        axes.xaxis.label.set(color=report.LIGHT["muted"], size=9)
        axes.yaxis.label.set(color=report.LIGHT["muted"], size=9)
        axes.title.set(color=report.LIGHT["ink"], size=10)
    return report.inline_svg(figure, f"{title}: its log mel spectrogram and the running prediction")
