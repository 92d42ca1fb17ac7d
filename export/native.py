"""Whether recurrent layers are the format's native ones: one rule for `export_model` and `verify`."""

from export import graph
from export.formats import Format
from export.lowering import Lowering
from export.quantization import holds_loop
from export.trace import Traced


def lowering_of(fmt: Format) -> Lowering:
    """How a format lowers recurrent layers of whole sequences."""
    from export import onnx, saved_model, tflite  # each takes its converter along

    lowering: Lowering = {"onnx": onnx, "tflite": tflite, "saved_model": saved_model}[fmt.name].lowering()
    return lowering


def not_native(traced: Traced, fmt: Format, ops: graph.Histogram | None = None) -> list[str]:
    """What is no native form; in LiteRT and SavedModel a hoisted loop is one.

    Args:
        traced: The model, traced with the format's lowering.
        fmt: The format.
        ops: What a file holds, which may have been written by another tool.
    """
    misses = [
        f"layer {note.layer!r} has no native form in {fmt.name}: {note.reason}" for note in traced.notes if note.reason
    ]
    if ops and fmt.name == "onnx" and (misses or not holds_loop(traced)):
        # No Scan counts: one stands beside a SimpleRNN's own op, for many rows.
        loops = {op: count for op, count in graph.loops(ops).items() if op != "Scan"}
        misses += [f"holds {count} x {op} where a native op was required" for op, count in loops.items()]
    return misses
