"""Does a step artifact, fed in odd chunks, give what the model gives on the whole sequence?"""

from pathlib import Path

import numpy as np

from export import graph
from export.cases import Arrays
from export.errors import ArtifactError
from export.formats import Format
from export.reference import Reference
from export.stream import Stream
from export.stream_proof import join, odd_chunks, proof_inputs
from export.streaming import StreamingModel
from export.verification import compare
from export.verify_report import OutputReport, VerifyReport, compare_output


def compare_stream(step: StreamingModel, path: Path, fmt: Format) -> VerifyReport:
    """Compares a step artifact with the whole-sequence model; and its whole-sequence signature, where it has one."""
    traced, tolerance = step.plan.traced, fmt.tolerance["float32"]
    if fmt.name == "onnx":
        report = VerifyReport(str(path), fmt.name)
        report.ops = graph.op_histogram(path)
        report.misses += [
            f"holds {n} x {op}, which the plain runtime lacks" for op, n in graph.foreign(report.ops).items()
        ]
        report.outputs = [OutputReport(port.name, tolerance) for port in traced.outputs]
    else:
        report = compare(traced, path)
    _Check(step, path, report).run()
    return report


class _Check:
    def __init__(self, step: StreamingModel, path: Path, report: VerifyReport) -> None:
        self._plan = step.plan
        self._reference = Reference(step.model, step.plan.traced.signature)
        self._path = path
        self._report = report

    def run(self) -> None:
        """Feeds two sequences: one after the other with a reset between, then both in turns."""
        inputs = [self._inputs(seed) for seed in (1, 2)]
        context = self._split(inputs[0])[1]
        try:
            stream = Stream(self._path, context=context)
            for name, given in zip(("in odd chunks", "after a reset"), (inputs[0], inputs[0]), strict=True):
                (got,) = self._fed([stream], [given])
                self._compare(name, given, got)
                stream.reset()
            both = [{**inputs[1], **context}, inputs[0]]
            for given, got in zip(both, self._fed([stream, stream.fork()], both), strict=True):
                self._compare("two streams in turns", given, got)
        except ArtifactError as error:
            self._report.misses.append(str(error))

    def _inputs(self, seed: int) -> Arrays:
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
