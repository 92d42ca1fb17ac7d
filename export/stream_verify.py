"""Does a step artifact, fed in odd chunks, give what the model gives on the whole sequence?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export import graph
from export.cases import Arrays
from export.errors import ArtifactError
from export.float_parts import float_parts
from export.formats import Format
from export.quality import judge_metrics
from export.quantization import Wish
from export.quantization_tflite import CALIBRATED
from export.reference import Reference
from export.stream import Stream
from export.stream_precision import calibration_sequences, step_drift
from export.stream_proof import join, odd_chunks, proof_inputs
from export.streaming import StreamingModel
from export.verification import compare, tolerance_of
from export.verify_report import OutputReport, VerifyReport, compare_output

_MOST_DATA = 8  # real sequences that are compared one by one


def compare_stream(
    step: StreamingModel, path: Path, fmt: Format, wish: Wish | None = None, *, step_only: bool = False
) -> VerifyReport:
    """Compares a step artifact with the whole-sequence model; and its whole-sequence signature, where it has one.

    Args:
        step: The step model.
        path: The artifact.
        fmt: Its format.
        wish: Its precision, the sequences it was calibrated with, and what it may cost; float32 by default.
        step_only: The file holds nothing else; so it is always in ONNX, and where it was calibrated.
    """
    wish = wish or Wish()
    tolerance = tolerance_of(fmt, wish.precision, wish.evaluate is not None or wish.max_metric_drop is None)
    if step_only or fmt.name == "onnx" or wish.precision in CALIBRATED:
        report = VerifyReport(str(path), fmt.name, wish.precision)
        report.ops = graph.op_histogram(path)
        report.misses += [
            f"holds {n} x {op}, which the plain runtime lacks" for op, n in graph.foreign(report.ops).items()
        ]
        report.outputs = [OutputReport(port.name, tolerance) for port in step.plan.traced.outputs]
        if wish.precision != "float32":
            report.left_in_float = float_parts(path, step.model)
    else:
        report = compare(step.plan.traced, path, tolerance=tolerance)
    _Check(step, path, report, calibration_sequences(step, wish)).run(wish)
    return report


class _Check:
    def __init__(self, step: StreamingModel, path: Path, report: VerifyReport, data: list[Arrays]) -> None:
        self._step = step
        self._plan = step.plan
        self._reference = Reference(step.model, step.plan.traced.signature)
        self._path = path
        self._report = report
        self._data = data

    def run(self, wish: Wish) -> None:
        """The values, then what fewer bits cost: the metrics, and the drift."""
        try:
            self._values()
            if wish.evaluate is not None:
                whole = self._reference
                self._report.metrics, problem = judge_metrics(
                    wish.evaluate, whole, self._streamed, wish.max_metric_drop
                )
                self._report.misses += [problem] if problem else []
            if wish.precision != "float32":
                self._drift(wish.max_metric_drop is None)
        except ArtifactError as error:
            self._report.misses.append(str(error))

    def _values(self) -> None:
        """Feeds two sequences: one after the other with a reset between, then both in turns; then real ones."""
        inputs = [self._inputs(seed) for seed in (1, 2)]
        context = self._split(inputs[0])[1]
        stream = Stream(self._path, context=context)
        for name, given in zip(("in odd chunks", "after a reset"), (inputs[0], inputs[0]), strict=True):
            (got,) = self._fed([stream], [given])
            self._compare(name, given, got)
            stream.reset()
        both = [{**inputs[1], **context}, inputs[0]]
        for given, got in zip(both, self._fed([stream, stream.fork()], both), strict=True):
            self._compare("two streams in turns", given, got)
        places = np.linspace(0, len(self._data) - 1, _MOST_DATA, dtype=int)
        for index in np.unique(places) if self._data else ():
            outputs = list(self._streamed(self._data[index]).values())
            self._compare(f"data, sequence {index + 1}", self._data[index], outputs)

    def _streamed(self, inputs: Mapping[str, Any]) -> Arrays:
        """The artifact's outputs for whole sequences, each fed to a stream of its own."""
        rows = []
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        for row in range(len(next(iter(arrays.values())))):
            sequences, context = self._split({name: array[row : row + 1] for name, array in arrays.items()})
            got = Stream(self._path, context=context).feed(**sequences)
            rows.append([got[name] for name in self._names(got)])
        names = [port.name for port in self._plan.traced.outputs]
        return {name: np.concatenate(parts) for name, parts in zip(names, zip(*rows, strict=True), strict=True)}

    def _names(self, got: Mapping[str, Any]) -> list[str]:
        """The outputs as the artifact names them: ONNX adds a suffix to one that is named like an input."""
        names = [port.name for port in self._plan.traced.outputs]
        return [name if name in got else f"{name}_out" for name in names]

    def _drift(self, any_loss: bool) -> None:
        chunk = Stream(self._path).chunk
        drift = step_drift(self._step, self._path, chunk, self._data)
        self._report.drift = drift
        if not drift.bounded and not any_loss:
            worst = max(drift.outputs, key=lambda output: output.last)
            self._report.misses.append(
                f"output {worst.name!r} drifts: {worst.first:.1%} off at the start, {worst.last:.1%} after "
                f"{worst.steps} steps, and still growing"
            )

    def _inputs(self, seed: int) -> Arrays:
        if self._report.precision in CALIBRATED:  # its range is that of the calibration data
            return self._data[(seed - 1) % len(self._data)]
        arrays, _ = proof_inputs(self._plan, batch=1, seed=seed)
        return {port.name: array for port, array in arrays.items()}

    def _split(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        """-> (the sequences, the rest)."""
        flags = dict(zip(inputs, self._plan.streams, strict=True))
        return {n: x for n, x in inputs.items() if flags[n]}, {n: x for n, x in inputs.items() if not flags[n]}

    def _fed(self, streams: list[Stream], inputs: list[Arrays]) -> list[list[np.ndarray]]:
        parts: list[list[Arrays]] = [[] for _ in streams]
        sequences = [self._split(given)[0] for given in inputs]
        steps = min(x.shape[1] for x in sequences[0].values())
        at = 0
        for size in odd_chunks(steps):
            for stream, given, part in zip(streams, sequences, parts, strict=True):
                part.append(stream.feed(**{name: x[:, at : at + size] for name, x in given.items()}))
            at += size
        names = [port.name for port in self._plan.traced.outputs]
        return [
            [
                join([fed[name] for fed in part if name in fed], rate)
                for name, rate in zip(names, self._plan.rates, strict=True)
            ]
            for part in parts
        ]

    def _compare(self, where: str, inputs: Arrays, got: list[np.ndarray]) -> None:
        expected = self._reference(inputs)
        self._report.cases.append(where)
        for output, y, rate in zip(self._report.outputs, got, self._plan.rates, strict=True):
            whole = expected[output.name]
            if rate is not None:
                steps = min(whole.shape[1], y.shape[1])
                whole, y = whole[:, :steps], y[:, :steps]
            problem = compare_output(output, whole, y, None)
            if problem:
                output.passed = False
                self._report.misses.append(f"output {output.name!r}, {where}: {problem}")
