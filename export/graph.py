"""Which ops an artifact holds. Right numbers in an unfused graph, or one that needs Flex, are not good enough."""

import collections
import os
from pathlib import Path
from typing import Any

from export.errors import ArtifactError, first_line
from export.formats import format_of

Histogram = dict[str, int]
# Of another domain, but in every build of onnxruntime.
_OWN = ("com.microsoft::DynamicQuantizeLSTM",)


def op_histogram(path: str | os.PathLike[str]) -> Histogram:
    """Counts an artifact's ops over all its graphs, subgraphs and functions, most frequent first.

    Raises:
        ArtifactError: The artifact cannot be read.
    """
    path = Path(path)
    try:
        counts = _COUNTERS[format_of(path).name](path)
    except (OSError, ValueError, TypeError, IndexError, KeyError) as error:
        raise ArtifactError(f"cannot read {str(path)!r}: {first_line(error)}") from error
    except Exception as error:
        if type(error).__name__ not in ("DecodeError", "error"):  # protobuf's, struct's
            raise
        raise ArtifactError(f"cannot read {str(path)!r}: truncated or corrupted") from error
    return dict(counts.most_common())


def loops(histogram: Histogram) -> Histogram:
    """The loops in it: where a recurrent layer is not one native op."""
    return {op: count for op, count in histogram.items() if op in ("Loop", "Scan", "WHILE", "While", "StatelessWhile")}


def foreign(histogram: Histogram) -> Histogram:
    """The ops that a plain runtime lacks: Flex, custom, other domains'."""
    return {op: n for op, n in histogram.items() if op.startswith("CUSTOM") or ("::" in op and op not in _OWN)}


def _tflite(path: Path) -> collections.Counter[str]:
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.Model.GetRootAs(path.read_bytes(), 0)

    def name(index: int) -> str:
        code = model.OperatorCodes(index)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return f"CUSTOM {code.CustomCode().decode()}" if names[builtin] == "CUSTOM" else names[builtin]

    counts: collections.Counter[str] = collections.Counter()
    for subgraph in map(model.Subgraphs, range(model.SubgraphsLength())):
        counts.update(name(subgraph.Operators(i).OpcodeIndex()) for i in range(subgraph.OperatorsLength()))
    return counts


def _onnx(path: Path) -> collections.Counter[str]:
    import onnx

    counts: collections.Counter[str] = collections.Counter()

    def visit(graph: Any) -> None:
        for node in graph.node:
            counts[f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type] += 1
            for attribute in node.attribute:
                for inner in [attribute.g, *attribute.graphs]:
                    visit(inner)

    visit(onnx.load(str(path), load_external_data=False).graph)
    return counts


def _saved_model(path: Path) -> collections.Counter[str]:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    counts: collections.Counter[str] = collections.Counter()
    for meta in saved.meta_graphs:
        counts.update(node.op for function in meta.graph_def.library.function for node in function.node_def)
    return counts


_COUNTERS = {"tflite": _tflite, "onnx": _onnx, "saved_model": _saved_model}
