"""A file for microcontrollers against its Keras model: in LiteRT's interpreter, in the micro one where it is there."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export import micro_ops
from export.calibration import Arrays
from export.cases import data_cases, make_cases
from export.domains import input_domains
from export.errors import ArtifactError
from export.float_parts import float_parts
from export.formats import FORMATS
from export.micro_runtime import installed, run_lite, run_micro
from export.quality import in_batches, judge_metrics
from export.quantization import Wish
from export.quantization_tflite import CALIBRATED
from export.reference import Reference
from export.stream_precision import calibration_sequences, cut, float_step, start_states
from export.stream_proof import proof_inputs
from export.stream_verify import compare_stream
from export.streaming import StreamingModel
from export.trace import Traced
from export.verification import tolerance_of
from export.verify_report import OutputReport, VerifyReport, compare_output

_FORMAT = FORMATS["tflite"]
_STEPS = 100
_NOT_RUN = "not run in the micro runtime, so its arena is not measured: install seqzoo[micro]"


def compare_whole(traced: Traced, path: Path, wish: Wish, feeds: Sequence[Arrays]) -> VerifyReport:
    """Compares a whole-sequence file: each case twice, for the LSTM's state lies in the file's own tensors.

    Args:
        traced: The model, with the file's static shapes.
        path: The file.
        wish: Its precision and what it may cost.
        feeds: The calibration data; they judge a file of integers, random numbers one of floats.
    """
    content = path.read_bytes()
    report = _report(traced, path, wish)
    reference = Reference(traced.model, traced.signature)
    cases = list(data_cases(feeds, traced.signature.inputs))
    if wish.precision not in CALIBRATED:
        domains = input_domains(traced.function, traced.arguments)
        cases += [case for case in make_cases(traced.signature.inputs, domains, batch=(1,)) if not case.harsh]
    report.cases = [case.name for case in cases]
    calls = [case.inputs for case in cases for _ in range(2)]
    wanted = [reference(call) for call in calls]
    names = [case.name + again for case in cases for again in ("", ", run again (state leaks)")]
    for runtime, results in _runs(report, content, calls, {}):
        for name, want, got in zip(names, wanted, results, strict=True):
            _compare(report, f"{name} in {runtime}", want, got)
    if wish.evaluate is not None:
        predicts = (in_batches(reference, traced.signature.inputs), _one_by_one(content))
        report.metrics, problem = judge_metrics(wish.evaluate, *predicts, wish.max_metric_drop)
        report.misses += [problem] if problem else []
    return report


def compare_step(step: StreamingModel, path: Path, wish: Wish, chunk: int) -> VerifyReport:
    """Compares a step file: in LiteRT as every step artifact, in the micro runtime over a stream with its states."""
    report = compare_stream(step, path, _FORMAT, wish, step_only=True)
    sequences = calibration_sequences(step, wish)
    if not sequences:
        random, _ = proof_inputs(step.plan, batch=1, seed=5, least=_STEPS * chunk)
        sequences = [{port.name: array for port, array in random.items()}]
    calls = [call for sequence in sequences for call in cut(step, sequence, chunk)][:_STEPS]
    exact, states = float_step(step, chunk), start_states(step)
    calls[0] = {**calls[0], **states}
    wanted = []
    for call in calls:
        y, states = exact({name: x for name, x in call.items() if name not in states}, states)
        wanted.append(y)
    carried = {spec.name: spec.name for spec in step.plan.specs}
    for runtime, results in _runs(report, path.read_bytes(), calls, carried):
        want = {name: np.concatenate([y[name] for y in wanted]) for name in wanted[0]}
        got = {name: np.concatenate([y[name] for y in results]) for name in want}
        _compare(report, f"a stream of {len(calls)} steps in {runtime}", want, got)
    return report


def _report(traced: Traced, path: Path, wish: Wish) -> VerifyReport:
    tolerance = tolerance_of(_FORMAT, wish.precision, wish.evaluate is not None or wish.max_metric_drop is None)
    report = VerifyReport(str(path), _FORMAT.name, wish.precision)
    report.ops = micro_ops.count_ops(path.read_bytes())
    report.outputs = [OutputReport(port.name, tolerance) for port in traced.outputs]
    if wish.precision != "float32":
        report.left_in_float = float_parts(path, traced.model)
    return report


def _runs(
    report: VerifyReport, content: bytes, calls: Sequence[Arrays], carried: Mapping[str, str]
) -> list[tuple[str, list[Arrays]]]:
    runs = [("LiteRT", run_lite(content, calls, carried))]
    if not installed():
        report.skipped["the micro runtime"] = _NOT_RUN
        return runs
    try:
        results, report.arena_bytes = run_micro(content, calls, carried)
    except ArtifactError as error:
        report.misses.append(str(error))
        return runs
    return [*runs, ("the micro runtime", results)]


def _compare(report: VerifyReport, where: str, want: Mapping[str, Any], got: Arrays) -> None:
    for output in report.outputs:
        problem = compare_output(output, np.asarray(want[output.name]), got[output.name], None)
        if problem:
            output.passed = False
            report.misses.append(f"output {output.name!r}, {where}: {problem}")


def _one_by_one(content: bytes) -> Callable[[Mapping[str, Any]], Arrays]:
    """The file as a function of batches, which it takes one example at a time."""

    def predict(inputs: Mapping[str, Any]) -> Arrays:
        count = len(next(iter(inputs.values())))
        calls = [{name: np.asarray(x)[row : row + 1] for name, x in inputs.items()} for row in range(count)]
        results = run_lite(content, calls)
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}

    return predict
