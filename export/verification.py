"""Does the file do what the model does? Names, dtypes, shapes, values, state that leaks, ops that do not belong.

The Keras model is the judge, on inputs that nobody has seen; every miss is collected and named.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export import graph
from export.calibration import Calibration, calibration_feeds
from export.cases import Arrays, Case, data_cases, make_cases
from export.domains import input_domains
from export.errors import ArtifactError, ExportError, first_line
from export.float_parts import float_parts, precision_of
from export.formats import FORMATS, Format, Tolerance, format_of
from export.loops import LoopEngine, collect_in_array
from export.lowering import Lowering, seeds_kept
from export.native import lowering_of, not_native
from export.ports import AUTOMATIC_NAME, Port, written_names
from export.quality import Evaluate, in_batches, judge_metrics
from export.quantization import Wish
from export.quantization_tflite import CALIBRATED
from export.reference import Reference, comparable
from export.runtimes import Runtime, load_runtime
from export.signature import candidate_signatures
from export.stream import holds_step
from export.trace import Traced, retraced, trace
from export.undecided import Undecided
from export.unstable import Unstable
from export.verify_report import OutputReport, VerifyReport, compare_output, without_forbidden

# Where a metric judges, or the caller takes any loss: values need only be there, and finite.
_ANY = Tolerance(atol=float("inf"), rtol=0.0)
NO_DATA = "{} is judged by real inputs (data=), and there are none"


def verify(
    model: keras.Model,
    artifact: Any,
    *,
    batch: Sequence[int] = (1, 2, 5),
    time: Sequence[int] | None = None,
    seed: int = 0,
    tolerance: Tolerance | None = None,
    require_native: bool = False,
    evaluate: Evaluate | None = None,
    max_metric_drop: float | None = 1.0,
    data: Calibration | None = None,
    input_signature: Any = None,
) -> VerifyReport:
    """Compares an artifact with its Keras model on random inputs that neither has seen.

    A step artifact is fed in odd chunks, and must give what the model gives on the whole sequence.

    Args:
        model: The Keras model.
        artifact: An `Artifact`, or the path of one.
        batch: Batch sizes to try.
        time: Lengths to try where the time axis is dynamic.
        seed: Of the random inputs.
        tolerance: Instead of the one for the format and the artifact's precision.
        require_native: Layers without a native form are misses too, as in `export_model`.
        evaluate: Computes the task's metrics from a callable that maps input arrays to output arrays. Of an artifact of
            fewer bits it is then the judge, instead of the table's tolerance.
        max_metric_drop: By how many points the main metric may be worse (see `quality.metric_drop`). None takes any
            loss of quality that comes of fewer bits.
        data: Real inputs, as in `export_model`'s calibration, to compare on beside the random ones. An artifact whose
            activations are integers (`int8_full`, `int16x8`) is judged by these only: it was made for their range.
        input_signature: For a model whose inputs Keras does not know, as in `export_model`.

    Raises:
        ArtifactError: The artifact cannot be read.
        ExportError: The model cannot be called.
    """
    path = Path(getattr(artifact, "path", artifact))
    runtime = load_runtime(path)  # an unreadable file is said before the model is traced
    if holds_step(path):
        from export import stream_verify, streaming  # they stand on this module

        step = streaming.to_streaming(model, input_signature=input_signature)
        wish = Wish(precision_of(path), data, evaluate, max_metric_drop)
        judged: dict[str, Any] = {"tolerance": tolerance, "require_native": require_native, "seed": seed}
        judged |= {"batch": tuple(batch), **({"time": tuple(time)} if time else {})}
        step_only = not stream_verify.holds_whole(path)
        return stream_verify.compare_stream(step, path, format_of(path), wish, step_only=step_only, **judged)
    traced = trace(
        model, Lowering(LoopEngine(collect_in_array)), input_signature, **_sizes(model, runtime, input_signature)
    )
    grid = {"batch": tuple(batch), "seed": seed, **({"time": tuple(time)} if time else {})}
    return compare(
        traced,
        path,
        tolerance=tolerance,
        require_native=require_native,
        evaluate=evaluate,
        max_metric_drop=max_metric_drop,
        feeds=[] if data is None else calibration_feeds(data, traced.signature.inputs),
        **grid,
    )


def _sizes(model: keras.Model, runtime: Runtime, input_signature: Any) -> dict[str, int | None]:
    """The sizes to which an artifact's batch and time were fixed, where the model leaves them open."""
    ports = next(candidate_signatures(model, input_signature)).inputs
    shapes = {port.name: port.shape for port in runtime.inputs}
    sizes: dict[str, int | None] = {"batch": None, "time": None}
    names, _ = written_names(format_of(runtime.path).name, ports, ())
    for port, name in zip(ports, names, strict=True):
        shape = shapes.get(name, shapes.get(port.name, ()))
        for axis, size in zip(sizes, range(min(2, len(shape), len(port.shape))), strict=False):
            if port.shape[size] is None and shape[size] is not None:
                sizes[axis] = shape[size]
    return sizes


def compare(
    traced: Traced,
    path: Path,
    *,
    tolerance: Tolerance | None = None,
    require_native: bool = False,
    evaluate: Evaluate | None = None,
    max_metric_drop: float | None = 1.0,
    feeds: Sequence[Arrays] = (),
    **grid: Any,
) -> VerifyReport:
    """`verify` for a model that was traced already; `feeds` are its `data`, `grid` goes to `cases.make_cases`."""
    fmt = format_of(path)
    runtime = load_runtime(path)
    precision = precision_of(path)
    if tolerance is None:
        tolerance = tolerance_of(fmt, precision, evaluate is not None or max_metric_drop is None)
    comparison = _Comparison(traced, runtime, VerifyReport(str(path), fmt.name, precision), tolerance)
    comparison.structure(path, require_native)
    if comparison.interface():
        with seeds_kept(traced.model):
            comparison.values(feeds, **grid)
            if evaluate is not None:
                comparison.metrics(evaluate, max_metric_drop)
    return comparison.report


def tolerance_of(fmt: Format, precision: str, any_values: bool) -> Tolerance:
    """What an artifact's outputs may differ.

    Args:
        fmt: Its format.
        precision: Its precision.
        any_values: Something else judges what fewer bits cost, or nothing does.
    """
    if any_values and precision != "float32":
        return _ANY
    return fmt.tolerance.get(precision, fmt.tolerance["float32"])


class _Comparison:
    def __init__(self, traced: Traced, runtime: Runtime, report: VerifyReport, tolerance: Tolerance) -> None:
        self.traced = traced
        self.reference = Reference(traced.model, traced.signature)
        self.runtime = runtime
        self.report = report
        self.tolerance = tolerance
        self._input_of: dict[str, str] = {}  # the model's name -> the artifact's
        self._output_of: dict[str, str] = {}
        self._undecided = Undecided(traced.model, self.reference)
        usual = tolerance_of(FORMATS[report.format], "float32", any_values=False)
        self._unstable = Unstable(traced.model, self.reference, usual)

    def _miss(self, text: str) -> None:
        if text not in self.report.misses:
            self.report.misses.append(text)

    def structure(self, path: Path, require_native: bool) -> None:
        """Counts the ops; a plain runtime must have them all."""
        self.report.ops = graph.op_histogram(path)
        if self.report.precision != "float32":
            self.report.left_in_float = float_parts(path, self.traced.model)
        for op, count in graph.foreign(self.report.ops).items():
            self._miss(f"holds {count} x {op}, which the plain runtime lacks")
        if require_native:
            fmt = FORMATS[self.report.format]
            for miss in not_native(retraced(self.traced, lowering_of(fmt)), fmt, self.report.ops):
                self._miss(miss)

    def interface(self) -> bool:
        """Matches the artifact's inputs and outputs with the model's, by name; false where values can't be compared."""
        misses = len(self.report.misses)
        taken, given = self.traced.signature.inputs, self.traced.outputs
        names = written_names(self.report.format, taken, given)
        self._input_of = self._match("input", taken, names[0], self.runtime.inputs)
        self._output_of = self._match("output", given, names[1], self.runtime.outputs)
        return len(self.report.misses) == misses

    def _match(
        self, kind: str, wanted: Sequence[Port], written: Sequence[str], found: Sequence[Port]
    ) -> dict[str, str]:
        if len(wanted) != len(found):
            self._miss(f"{len(found)} {kind}s ({_list(found)}), the model has {len(wanted)} ({_list(wanted)})")
            return {}
        names = {port.name: port for port in found}
        as_written = {}
        for index, (port, name) in enumerate(zip(wanted, written, strict=True)):
            match = names.get(name)
            if match is None and port.name not in written:  # another tool may keep what we change
                match = names.get(port.name)
            if match is None and AUTOMATIC_NAME.match(port.name) and AUTOMATIC_NAME.match(found[index].name):
                match = found[index]  # both names were made up by Keras, at different times
            if match is None:
                self._miss(f"{kind} {port.name!r} is missing; there are {_list(found)}")
                continue
            if match.dtype != port.dtype:
                self._miss(f"{kind} {port.name!r} has dtype {match.dtype}, the model's {port.dtype}")
            as_written[port.name] = match.name
        return as_written

    def values(self, feeds: Sequence[Arrays], **grid: Any) -> None:
        """Runs every case twice through the artifact, and compares."""
        self.report.outputs = [OutputReport(port.name, self.tolerance) for port in self.traced.outputs]
        for case in self._cases(feeds, **grid):
            try:
                expected = self.reference(case.inputs)
            except Exception as error:  # a model may raise anything on inputs that it does not take
                self.report.skipped[case.name] = first_line(error)
                continue
            if any(y.size == 0 for y in expected.values()):
                self.report.skipped[case.name] = "the model gives an empty output"
                continue
            self.report.cases.append(case.name)
            for repetition in ("", ", run again (state leaks)"):
                self._compare(case.name + repetition, case, expected)
        if not self.report.cases:
            name, reason = next(iter(self.report.skipped.items()))
            raise ExportError(f"model {self.traced.model.name!r} takes none of the inputs tried; on {name}: {reason}")
        for output in self.report.outputs:
            if not output.compared:
                why = "the model gives no finite value on any input"
                if self.report.precision in CALIBRATED and not feeds:
                    why = NO_DATA.format(self.report.precision)
                self._miss(f"output {output.name!r}: {why}, so nothing is proven")

    def _cases(self, feeds: Sequence[Arrays], **grid: Any) -> Iterator[Case]:
        ports = self.traced.signature.inputs
        judged = self.report.precision not in CALIBRATED  # their ranges are those of the calibration data
        for case in make_cases(ports, input_domains(self.traced.function, self.traced.arguments), **grid):
            yield dataclasses.replace(case, judged=judged)
        yield from data_cases(feeds, ports)

    def _compare(self, where: str, case: Case, expected: Arrays) -> None:
        try:
            got = self.runtime({self._input_of[name]: array for name, array in case.inputs.items()})
        except ArtifactError as error:
            self._miss(f"{where}: {error}")
            return
        found = {output.name: comparable(got[self._output_of[output.name]]) for output in self.report.outputs}
        kept = self._undecided.rows_to_compare(case, expected, found)
        if kept is not None:
            self.report.undecided[case.name] = int(np.sum(~kept))
            if not kept.any():
                return
        for output in self.report.outputs:
            values, _ = without_forbidden(expected[output.name], expected[output.name])
            if case.harsh and not np.isfinite(values).all():
                # States that grow beyond all numbers leave finite ones by chance.
                self.report.skipped[f"{output.name!r} on {case.name}"] = "the model's own values overflow"
                continue
            judge = output if case.judged else OutputReport(output.name, _ANY)
            rows: Any = ... if kept is None else kept
            want, have = expected[output.name][rows], found[output.name][rows]
            problem = compare_output(judge, want, have)
            # To ask how far rounding moves the model takes seconds; a file that fails already fails on this case too.
            failed = bool(self.report.misses)
            if problem and not failed and (moved := self._unstable.explains(judge, case, expected, have, kept)):
                self.report.unstable[case.name] = max(self.report.unstable.get(case.name, 0.0), moved)
            elif problem:
                output.passed = False
                self._miss(f"output {output.name!r}, {where}: {problem}")

    def metrics(self, evaluate: Evaluate, most: float | None) -> None:
        """The task's metrics, of both; the main one may be worse by so many points."""
        inverse = {theirs: ours for ours, theirs in self._output_of.items()}
        ports = self.traced.signature.inputs

        def artifact(inputs: Mapping[str, Any]) -> Arrays:
            got = self.runtime({self._input_of[name]: array for name, array in inputs.items()})
            return {inverse[name]: y for name, y in got.items()}

        self.report.metrics, problem = judge_metrics(
            evaluate, in_batches(self.reference, ports), in_batches(artifact, ports), most
        )
        if problem:
            self._miss(problem)


def _list(ports: Sequence[Port]) -> str:
    return ", ".join(repr(port.name) for port in ports)
