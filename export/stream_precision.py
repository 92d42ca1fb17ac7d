"""A step model in fewer bits: calibrated on sequences, with the states it really meets; its drift from the float."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.calibration import Arrays, Step, calibration_feeds, step_feeds
from export.drift import DriftReport, measure_drift
from export.errors import QuantizationError
from export.formats import FORMATS, Format, format_of
from export.quantization import Quantizer, Wish, make_quantizer
from export.stream import load_step
from export.stream_export import STEP, StreamForm, lowering, step_names, trace_step
from export.stream_proof import proof_inputs
from export.streaming import StreamingModel
from export.trace import Traced

DRIFT_STEPS = 1000
_MOST_CALIBRATION_STEPS = 4000  # more move no range, and each is run by TensorFlow and by the calibrator


def step_quantizer(step: StreamingModel, traced: Traced, form: StreamForm, fmt: Format, wish: Wish) -> Quantizer:
    """How a step's artifact gets its precision.

    Args:
        step: The step model.
        traced: Its step, as it is exported.
        form: The chunk.
        fmt: The artifact's format.
        wish: The precision; its calibration data are whole sequences, by the names of the model's inputs.

    Raises:
        QuantizationError: The step cannot be calibrated, or the data do not fit.
    """
    feeds = None
    if wish.calibration is not None:
        run, start = float_step(step, form.chunk), start_states(step)
        every = [cut(step, sequence, form.chunk) for sequence in calibration_sequences(step, wish)]
        if not any(every):
            raise QuantizationError(f"the calibration sequences are shorter than one chunk of {form.chunk} steps")
        most = max(1, _MOST_CALIBRATION_STEPS // max(map(len, every)))
        chosen = np.unique(np.linspace(0, len(every) - 1, min(most, len(every)), dtype=int))
        feeds = [feed for index in chosen for feed in step_feeds(run, every[index], start)]
    return make_quantizer(traced, fmt, wish.precision, feeds, signature=STEP)


def calibration_sequences(step: StreamingModel, wish: Wish) -> list[Arrays]:
    """The calibration data, one sequence each, with a batch axis of 1; none where none were given."""
    if wish.calibration is None:
        return []
    feeds = calibration_feeds(wish.calibration, step.plan.traced.signature.inputs)
    return [
        {name: array[row : row + 1] for name, array in feed.items()}
        for feed in feeds
        for row in range(len(next(iter(feed.values()))))
    ]


def cut(step: StreamingModel, sequence: Arrays, chunk: int) -> list[Arrays]:
    """A sequence as the inputs of one call of the step after another; what is left over is dropped."""
    plan = step.plan
    streams = {port.name: stream for port, stream in zip(plan.traced.signature.inputs, plan.streams, strict=True)}
    calls = min(array.shape[1] for name, array in sequence.items() if streams[name]) // chunk
    return [
        {name: x[:, at * chunk : (at + 1) * chunk] if streams[name] else x for name, x in sequence.items()}
        for at in range(calls)
    ]


def start_states(step: StreamingModel) -> Arrays:
    """The states before the first step, of one stream."""
    return {spec.name: spec.initial[np.newaxis] for spec in step.plan.specs}


def float_step(step: StreamingModel, chunk: int) -> Step:
    """The step for one stream as a function of named arrays; TensorFlow runs it."""
    traced = trace_step(step, lowering(FORMATS["saved_model"]), StreamForm(chunk, 1))
    states = {spec.name for spec in step.plan.specs}
    arguments = traced.arguments

    def run(inputs: Arrays, before: Arrays) -> tuple[Arrays, Arrays]:
        given = {arguments[name]: tf.constant(array) for name, array in {**inputs, **before}.items()}
        got = {name: y.numpy() for name, y in traced.function(**given).items()}
        return {n: y for n, y in got.items() if n not in states}, {n: y for n, y in got.items() if n in states}

    return run


def step_drift(step: StreamingModel, path: Path, chunk: int, sequences: Sequence[Arrays]) -> DriftReport:
    """How far an artifact's step is from the float one over 1,000 calls, each on its own states.

    An error that comes and goes may be high at the end of a stream; one that adds up grows on. So where it looks as if
    it grew, a stream of four times the length tells.

    Args:
        step: The step model.
        path: The artifact.
        chunk: Steps of input that one call takes.
        sequences: Real sequences, played one after the other and again; random ones where there are none.
    """
    if not sequences:
        random, _ = proof_inputs(step.plan, batch=1, seed=3, least=DRIFT_STEPS * chunk)
        sequences = [{port.name: array for port, array in random.items()}]
    calls = [call for sequence in sequences for call in cut(step, sequence, chunk)]
    backend, _ = load_step(path, 1)
    _, written = step_names(step, format_of(path).name)

    def quantized(inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
        outputs, after = backend.step({n: np.ascontiguousarray(x) for n, x in inputs.items()}, states)
        return {port.name: outputs[written[port.name]] for port in step.plan.traced.outputs}, after

    def over(steps: int) -> DriftReport:
        endless = itertools.islice(itertools.cycle(calls), steps)
        return measure_drift(float_step(step, chunk), quantized, list(endless), start_states(step))

    report = over(DRIFT_STEPS)
    return report if report.bounded else over(4 * DRIFT_STEPS)
