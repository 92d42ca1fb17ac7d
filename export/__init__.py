"""Any Keras 3 model with recurrent layers as files that run elsewhere, each proven to do what the model does.

Nothing heavy is imported before it is used: running an artifact needs no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.benchmarking import BenchmarkRow, benchmark, benchmark_stream
    from export.calibration import load_arrays, step_feeds
    from export.drift import DriftReport, measure_drift
    from export.errors import ArtifactError, ExportError, QuantizationError, SeqzooExportError, VerificationError
    from export.exporting import Artifact, export_model
    from export.formats import FORMATS, PRECISIONS, Format, Tolerance
    from export.graph import op_histogram
    from export.quality import evaluate_on
    from export.runtimes import Runtime, load_runtime
    from export.stream import Stream
    from export.stream_scope import NotCausalError
    from export.streaming import StreamingModel, to_streaming
    from export.text_client import TextGenerator, Written
    from export.verification import verify
    from export.verify_report import VerifyReport

_HOME = {
    "Artifact": "exporting",
    "ArtifactError": "errors",
    "BenchmarkRow": "benchmarking",
    "DriftReport": "drift",
    "ExportError": "errors",
    "FORMATS": "formats",
    "Format": "formats",
    "NotCausalError": "stream_scope",
    "QuantizationError": "errors",
    "PRECISIONS": "formats",
    "Runtime": "runtimes",
    "SeqzooExportError": "errors",
    "Stream": "stream",
    "StreamingModel": "streaming",
    "TextGenerator": "text_client",
    "Tolerance": "formats",
    "VerificationError": "errors",
    "VerifyReport": "verify_report",
    "Written": "text_client",
    "benchmark": "benchmarking",
    "benchmark_stream": "benchmarking",
    "evaluate_on": "quality",
    "export_model": "exporting",
    "load_arrays": "calibration",
    "load_runtime": "runtimes",
    "measure_drift": "drift",
    "op_histogram": "graph",
    "step_feeds": "calibration",
    "to_streaming": "streaming",
    "verify": "verification",
}

__all__ = [
    "FORMATS",
    "PRECISIONS",
    "Artifact",
    "ArtifactError",
    "BenchmarkRow",
    "DriftReport",
    "ExportError",
    "Format",
    "NotCausalError",
    "QuantizationError",
    "Runtime",
    "SeqzooExportError",
    "Stream",
    "StreamingModel",
    "TextGenerator",
    "Tolerance",
    "VerificationError",
    "VerifyReport",
    "Written",
    "benchmark",
    "benchmark_stream",
    "evaluate_on",
    "export_model",
    "load_arrays",
    "load_runtime",
    "measure_drift",
    "op_histogram",
    "step_feeds",
    "to_streaming",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'export' has no attribute {name!r}")
    return getattr(importlib.import_module(f"export.{_HOME[name]}"), name)
