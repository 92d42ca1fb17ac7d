"""Any Keras 3 model with recurrent layers as files that run elsewhere, each proven to do what the model does.

Nothing heavy is imported before it is used: running an artifact needs no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.benchmarking import BenchmarkRow, benchmark
    from export.errors import ArtifactError, ExportError, SeqzooExportError, VerificationError
    from export.exporting import Artifact, export_model
    from export.formats import FORMATS, Format, Tolerance
    from export.graph import op_histogram
    from export.runtimes import Runtime, load_runtime
    from export.verification import verify
    from export.verify_report import VerifyReport

_HOME = {
    "Artifact": "exporting",
    "ArtifactError": "errors",
    "BenchmarkRow": "benchmarking",
    "ExportError": "errors",
    "FORMATS": "formats",
    "Format": "formats",
    "Runtime": "runtimes",
    "SeqzooExportError": "errors",
    "Tolerance": "formats",
    "VerificationError": "errors",
    "VerifyReport": "verify_report",
    "benchmark": "benchmarking",
    "export_model": "exporting",
    "load_runtime": "runtimes",
    "op_histogram": "graph",
    "verify": "verification",
}

__all__ = [
    "FORMATS",
    "Artifact",
    "ArtifactError",
    "BenchmarkRow",
    "ExportError",
    "Format",
    "Runtime",
    "SeqzooExportError",
    "Tolerance",
    "VerificationError",
    "VerifyReport",
    "benchmark",
    "export_model",
    "load_runtime",
    "op_histogram",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'export' has no attribute {name!r}")
    return getattr(importlib.import_module(f"export.{_HOME[name]}"), name)
