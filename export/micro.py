"""Models for microcontrollers: static shapes, fused LSTMs, integers or floats, only ops that TensorFlow Lite Micro has.

A whole sequence in one call (LSTM layers), or a step model (any causal model), which keeps its states outside.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from export import files, manifest, micro_verify, stream_export, tflite
from export.calibration import calibration_feeds
from export.errors import ExportError, QuantizationError
from export.formats import FORMATS, Format, unknown_name
from export.micro_code import write_code
from export.micro_lstm import MicroLowering
from export.micro_mend import mend, own_states
from export.micro_ops import LSTM, MICRO_PATCHES, check_ops, count_ops, resolver_lines
from export.micro_runtime import check_types, ports_of
from export.quantization import Wish
from export.quantization_tflite import TfliteQuantizer
from export.stream_precision import step_quantizer
from export.streaming import StreamingModel
from export.trace import Traced, trace
from export.verify_report import VerifyReport

TARGETS = ("micro",)
_FORMAT = FORMATS["tflite"]
_PRECISIONS = {"whole": ("float32", "int8_full"), "step": ("float32", "int8_full", "int16x8")}
_SHORT = {"int8": "int8_full"}  # there is no other int8 on a microcontroller


@dataclasses.dataclass(frozen=True)
class MicroQuantizer(TfliteQuantizer):
    """Also checks and mends what the converter wrote, in float32 too.

    Attributes:
        layers: Names of the model's layers.
        fused: How many fused LSTMs there must be.
    """

    layers: tuple[str, ...] = ()
    fused: int = 0

    def calibrate(self, content: bytes) -> bytes:
        """Refuses ops that the runtime lacks, quantizes, and mends the LSTMs."""
        check_ops(content, self.layers)
        found = count_ops(content).get(LSTM, 0)
        if found != self.fused:
            raise ExportError(
                f"the LiteRT converter made {found} of {self.fused} LSTMs one op; this version can't be used"
            )
        return mend(super().calibrate(own_states(content)))


Job = tuple[Traced, dict[str, Any], Callable[[Path, dict[str, str]], None], Callable[[Path], VerifyReport]]


def wish_for(target: str, fmt: Format, wish: Wish, step: bool) -> Wish:
    """The wish with the precision's full name.

    Raises:
        ExportError: The target is unknown. QuantizationError: The micro runtime lacks the precision.
    """
    if target not in TARGETS:
        raise ExportError(unknown_name("target", target, TARGETS))
    if fmt is not _FORMAT:
        raise ExportError(f"a microcontroller runs tflite files, not {fmt.name}")
    wish = dataclasses.replace(wish, precision=_SHORT.get(wish.precision, wish.precision))
    known = _PRECISIONS["step" if step else "whole"]
    if wish.precision not in known:
        reason = (
            "the fused LSTM takes 8 bits" if wish.precision == "int16x8" else "the micro runtime unpacks no weights"
        )
        nearest = "int16x8 of the step model (streaming=True)" if wish.precision == "int16x8" else "int8"
        raise QuantizationError(
            f"the micro runtime has no {wish.precision}: {reason}; the nearest that works: {nearest} or float32"
        )
    return wish


def whole_job(model: keras.Model, wish: Wish, input_signature: Any, time: int | None) -> Job:
    """-> (the graph, the manifest's entry, what writes the file, what compares it with the model).

    Args:
        model: The model.
        wish: The precision.
        input_signature: As in `export_model`.
        time: The sequence's length, where the model leaves it open.

    Raises:
        ExportError: A layer cannot go there; says which and what to change.
    """
    lowering = MicroLowering()
    try:
        traced = trace(model, lowering, input_signature, batch=1, time=time)
    except ExportError as error:
        raise ExportError(lowering.refusal) if lowering.refusal else error from error
    for port in traced.signature.inputs:
        if None in port.shape:
            raise ExportError(
                f"input {port.name!r} has the shape {port.shape}; a microcontroller wants it fixed: pass time="
            )
    feeds = [] if wish.calibration is None else calibration_feeds(wish.calibration, traced.signature.inputs)
    named = tuple((tflite.SIGNATURE, {traced.arguments[n]: x for n, x in feed.items()}) for feed in feeds)
    quantizer = MicroQuantizer(
        wish.precision,
        named,
        integer_ports=True,
        layers=_layers(model),
        fused=sum(len(note.cells) for note in traced.notes),
    )

    def convert(path: Path, _: dict[str, str]) -> None:
        path.write_bytes(tflite.convert(traced, _short(model, wish), quantizer))

    return traced, _entry(traced), convert, lambda path: micro_verify.compare_whole(traced, path, wish, feeds)


def step_job(step: StreamingModel, wish: Wish, chunk: int | None) -> Job:
    """`whole_job` for a step model, whose states are inputs and outputs, float32 in every precision."""
    form = stream_export.stream_form(step, _FORMAT, chunk)
    lowering = stream_export.lowering(_FORMAT)
    lowering.patches = {**lowering.patches, **MICRO_PATCHES}
    traced = stream_export.trace_step(step, lowering, form)
    entry = _entry(traced)
    entry["stream"] = stream_export.describe(step, form, entry)
    calibrated = step_quantizer(step, traced, form, _FORMAT, wish).tflite
    quantizer = MicroQuantizer(
        wish.precision, () if calibrated is None else calibrated.feeds, layers=_layers(step.model)
    )

    def convert(path: Path, info: dict[str, str]) -> None:
        path.write_bytes(tflite.convert_signatures({stream_export.STEP: traced}, info, quantizer))

    return traced, entry, convert, lambda path: micro_verify.compare_step(step, path, wish, form.chunk)


def _entry(traced: Traced) -> dict[str, Any]:
    check_types([*traced.signature.inputs, *traced.outputs])
    return {**manifest.describe(traced, _FORMAT), "target": "micro"}


def _short(model: keras.Model, wish: Wish) -> dict[str, str]:
    """What of the metadata must lie in a microcontroller's flash: the rest is in manifest.json."""
    return manifest.in_file({"precision": wish.precision, "target": "micro"}, model.name)


def _layers(model: keras.Model) -> tuple[str, ...]:
    return tuple(layer.name for layer in model._flatten_layers(include_self=False))


def finish(written: Path, place: Path, report: VerifyReport | None, entry: dict[str, Any]) -> dict[str, Any]:
    """Writes the C++ beside the artifact's place; -> what the manifest tells besides.

    Args:
        written: The file, not yet in its place.
        place: Where it will be.
        report: Its verification, which measured the arena.
        entry: Its entry in the manifest.
    """
    content = written.read_bytes()
    inputs, outputs = ports_of(content)
    arena = None if report is None else report.arena_bytes
    states = {state["name"]: state["initial"] for state in entry.get("stream", {}).get("states", [])}
    code = write_code(written, arena, states, place.parent)
    for path in code:
        files.put_in_place(path, place.with_name(path.name))
    ops = count_ops(content)
    return {
        "arena_bytes": arena,
        "ops": ops,
        "resolver": resolver_lines(list(ops)),
        "tensors": {
            kind: [dataclasses.asdict(p) for p in ports] for kind, ports in (("inputs", inputs), ("outputs", outputs))
        },
        "code": [path.name for path in code],
    }
