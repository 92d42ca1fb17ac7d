"""Does a step artifact, fed in odd chunks, give what the model gives on the whole sequence?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export import graph
from export.cases import Arrays
from export.errors import ArtifactError, QuantizationError
from export.float_parts import float_parts
from export.formats import Format, Tolerance, format_of
from export.native import not_native
from export.quality import judge_metrics
from export.quantization import Wish
from export.quantization_tflite import CALIBRATED
from export.reference import Reference
from export.stream import Stream, load_step
from export.stream_export import SERVE, lowering, step_names, stream_form, trace_step
from export.stream_precision import calibration_sequences, cut, step_drift
from export.stream_proof import join, odd_chunks, proof_inputs
from export.streaming import StreamingModel
from export.verification import NO_DATA, compare, tolerance_of
from export.verify_report import OutputReport, VerifyReport, compare_output

_MOST_DATA = 8  # real sequences that are compared one by one


def compare_stream(
    step: StreamingModel,
    path: Path,
    fmt: Format,
    wish: Wish | None = None,
    *,
    step_only: bool = False,
    tolerance: Tolerance | None = None,
    require_native: bool = False,
    seed: int = 0,
    **whole: Any,
) -> VerifyReport:
    """Compares a step artifact with the whole-sequence model; and its whole-sequence signature, where it has one.

    Args:
        step: The step model.
        path: The artifact.
        fmt: Its format.
        wish: Its precision, the sequences it was calibrated with, and what it may cost; float32 by default.
        step_only: The file holds nothing else; so it is always in ONNX, and where it was calibrated.
        tolerance: Instead of the one for the format and the precision.
        require_native: Layers whose step has no native form are misses too.
        seed: Of the random inputs.
        **whole: `batch` and `time`, which the whole-sequence signature is tried with.

    Raises:
        QuantizationError: The calibration sequences do not fit, or are too short.
    """
    wish = wish or Wish()
    if tolerance is None:
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
        report = compare(step.plan.traced, path, tolerance=tolerance, seed=seed, **whole)
    data, chunk = calibration_sequences(step, wish), int(load_step(path, 1)[1]["stream"]["chunk"])
    if require_native:
        traced = trace_step(step, lowering(fmt), stream_form(step, fmt, chunk))
        report.misses += not_native(traced, fmt, report.ops)
    if data and not (data := [sequence for sequence in data if cut(step, sequence, chunk)]):
        raise QuantizationError(f"the sequences to compare on are shorter than one chunk of {chunk} steps")
    if report.precision in CALIBRATED and not data:
        why = NO_DATA.format(report.precision)
        report.misses += [f"output {output.name!r}: {why}, so nothing is proven" for output in report.outputs]
    elif report.outputs:  # else their names do not fit the model's, and the report says so
        _Check(step, path, report, data, chunk, seed).run(wish)
    return report


def holds_whole(path: Path) -> bool:
    """Whether a step artifact runs whole sequences too: ONNX files do not, nor LiteRT's without loops."""
    if format_of(path).name != "tflite":
        return format_of(path).name == "saved_model"
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    keys = [model.SignatureDefs(index).SignatureKey() for index in range(model.SignatureDefsLength())]
    return SERVE.encode() in keys


class _Check:
    def __init__(
        self, step: StreamingModel, path: Path, report: VerifyReport, data: list[Arrays], chunk: int, seed: int
    ) -> None:
        self._step = step
        self._plan = step.plan
        self._reference = Reference(step.model, step.plan.traced.signature)
        ports = step.plan.traced.signature.inputs
        taken, self._given = step_names(step, report.format)  # the model's name -> the artifact's
        self._taken = {port.name: taken[port.name] for port in ports}
        self._path = path
        self._report = report
        self._data = data
        self._chunk = chunk
        self._seed = seed
        self._compared: set[str] = set()

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
        stream = Stream(self._path, context=self._named(context))
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
        if missing := [output.name for output in self._report.outputs if output.name not in self._compared]:
            why = f"no sequence that the model takes is long enough for chunks of {self._chunk} steps"
            raise ArtifactError(f"output {missing[0]!r}: {why}, so nothing is proven")

    def _streamed(self, inputs: Mapping[str, Any]) -> Arrays:
        """The artifact's outputs for whole sequences, each fed to a stream of its own."""
        rows = []
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        for row in range(len(next(iter(arrays.values())))):
            sequences, context = self._split({name: array[row : row + 1] for name, array in arrays.items()})
            rows.append(self._outputs(Stream(self._path, context=self._named(context)).feed(**self._named(sequences))))
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _named(self, inputs: Arrays) -> Arrays:
        """The inputs as the artifact names them."""
        return {self._taken[name]: array for name, array in inputs.items()}

    def _outputs(self, got: Arrays) -> Arrays:
        """The outputs as the model names them."""
        found = {}
        for port, rate in zip(self._plan.traced.outputs, self._plan.rates, strict=True):
            if (name := self._given[port.name]) in got:
                found[port.name] = got[name]
            elif rate is not None:  # one without time axis may have no value yet
                raise ArtifactError(f"output {port.name!r} is missing; there are {', '.join(map(repr, got))}")
        return found

    def _drift(self, any_loss: bool) -> None:
        drift = step_drift(self._step, self._path, self._chunk, self._data)
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
        arrays, _ = proof_inputs(self._plan, batch=1, seed=self._seed + seed, least=3 * self._chunk)
        return {port.name: array for port, array in arrays.items()}

    def _split(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        """-> (the sequences, the rest)."""
        flags = dict(zip(self._taken, self._plan.streams, strict=True))
        return {n: x for n, x in inputs.items() if flags[n]}, {n: x for n, x in inputs.items() if not flags[n]}

    def _fed(self, streams: list[Stream], inputs: list[Arrays]) -> list[list[np.ndarray | None]]:
        parts: list[list[Arrays]] = [[] for _ in streams]
        sequences = [self._split(given)[0] for given in inputs]
        steps = min(x.shape[1] for x in sequences[0].values())
        at = 0
        for size in odd_chunks(steps):
            for stream, given, part in zip(streams, sequences, parts, strict=True):
                chunk = {name: x[:, at : at + size] for name, x in given.items()}
                part.append(self._outputs(stream.feed(**self._named(chunk))))
            at += size
        names = [port.name for port in self._plan.traced.outputs]
        return [
            [
                join(values, rate) if (values := [fed[name] for fed in part if name in fed]) else None
                for name, rate in zip(names, self._plan.rates, strict=True)
            ]
            for part in parts
        ]

    def _compare(self, where: str, inputs: Arrays, got: Sequence[np.ndarray | None]) -> None:
        expected = self._reference(inputs)
        self._report.cases.append(where)
        for output, y, rate in zip(self._report.outputs, got, self._plan.rates, strict=True):
            if y is None:
                continue
            whole = expected[output.name]
            if rate is not None:
                steps = min(whole.shape[1], y.shape[1])
                whole, y = whole[:, :steps], y[:, :steps]
            self._compared |= {output.name} if whole.size else set()
            problem = compare_output(output, whole, y, None)
            if problem:
                output.passed = False
                self._report.misses.append(f"output {output.name!r}, {where}: {problem}")
