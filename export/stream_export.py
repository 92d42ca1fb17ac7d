"""A step model as a file: LiteRT with `step`, `serve` and `reset`, ONNX with states in and out, SavedModel with all."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export import onnx, saved_model, tflite
from export.errors import ExportError
from export.formats import Format
from export.inference import inference_form
from export.loops import collect_in_array
from export.lowering import Lowering, lowered
from export.onnx_rnn import OnnxLowering
from export.ports import Port, identifiers, written_names
from export.quantization_tflite import CALIBRATED
from export.signature import Signature, output_names
from export.stream_engine import StepEngine
from export.streaming import StreamingModel
from export.tflite_ops import PATCHES
from export.tflite_rnn import collect_in_chunks, final_states
from export.trace import Traced, trace

STEP, SERVE, RESET = "step", "serve", "reset"


@dataclasses.dataclass(frozen=True)
class StreamForm:
    """The shape in which a step is written down.

    Attributes:
        chunk: Steps of input that one call takes.
        batch: Streams that run side by side in one call; None for any number.
    """

    chunk: int
    batch: int | None


def stream_form(step: StreamingModel, fmt: Format, chunk: int | None) -> StreamForm:
    """The form for a format.

    Raises:
        ExportError: The chunk is no multiple of the model's hop.
    """
    hop = step.plan.hop
    chunk = hop if chunk is None else chunk
    if chunk < 1 or chunk % hop:
        raise ExportError(f"chunk={chunk} must be a multiple of {hop}, the number of steps that give one output")
    return StreamForm(chunk, 1 if fmt.name == "tflite" else None)


def lowering(fmt: Format) -> Lowering:
    """What a format puts in the place of a step of a recurrent layer."""
    if fmt.name == "onnx":
        return onnx.lowering()
    if fmt.name == "tflite":
        return Lowering(StepEngine(collect_in_chunks, finish=final_states), PATCHES)
    return Lowering(StepEngine(collect_in_array), saved_model.PATCHES)


def trace_step(step: StreamingModel, target: Lowering, form: StreamForm) -> Traced:
    """Traces the step: the model's inputs, cut to the chunk, then the states; so the outputs."""
    plan = step.plan
    ports = [
        _sized(port, form, stream) for port, stream in zip(plan.traced.signature.inputs, plan.streams, strict=True)
    ]
    states = [Port(spec.name, (form.batch, *spec.shape), spec.dtype) for spec in plan.specs]
    _check_names(step, ports, target)
    names = [port.name for port in (*ports, *states)]
    arguments = identifiers(names)
    outputs: list[str] = []

    def call(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        flat = [tensors[argument] for argument in arguments]
        before = dict(zip([port.name for port in states], flat[len(ports) :], strict=True))
        y, after = step(flat[: len(ports)], before)
        outputs[:] = output_names(step.model, y)
        named = dict(zip(outputs, keras.tree.flatten(y), strict=True)) | after
        return {name: tf.identity(tensor) for name, tensor in named.items()}

    specs = {
        argument: tf.TensorSpec(port.shape, port.dtype, name=argument)
        for argument, port in zip(arguments, (*ports, *states), strict=True)
    }
    with inference_form(step), lowered(target) as notes:
        function = tf.function(call, autograph=False).get_concrete_function(**specs)
        given = function.structured_outputs
        structure = ([*ports], {port.name: port for port in states})
        signature = Signature((*ports, *states), (structure, {}), declared=True)
        made = (
            Port(name, tuple(given[name].shape), given[name].dtype.name) for name in (*outputs, *before_names(step))
        )
        return Traced(step, function, signature, tuple(made), tuple(notes))


def _check_names(step: StreamingModel, ports: list[Port], target: Lowering) -> None:
    """A file's inputs hold the states before the step, its outputs those after it, each under one name.

    Raises:
        ExportError: The model has an input or output of such a name.
    """
    before = {name.lower() for name in before_names(step)}
    # ONNX has no two values of one name: a state that comes out has a suffix.
    after = before | {f"{name}_out" for name in before} if isinstance(target, OnnxLowering) else before
    inputs = [port.name for port in ports]
    for name, identifier in zip(inputs, identifiers(inputs), strict=True):
        if {name.lower(), identifier.lower()} & after:
            raise ExportError(f"model {step.model.name!r} has an input that is named like a state; rename {name!r}")
    for port in step.plan.traced.outputs:
        if port.name.lower() in after:
            raise ExportError(
                f"model {step.model.name!r} has an output that is named like a state; rename {port.name!r}"
            )


def step_names(step: StreamingModel, format: str) -> tuple[dict[str, str], dict[str, str]]:
    """-> (name of an input or state -> the name that a step artifact has for it, the same of the outputs)."""
    states = [Port(spec.name, spec.shape, spec.dtype) for spec in step.plan.specs]
    inputs, outputs = [*step.plan.traced.signature.inputs, *states], [*step.plan.traced.outputs, *states]
    taken, given = written_names(format, inputs, outputs)
    return (
        dict(zip([port.name for port in inputs], taken, strict=True)),
        dict(zip([port.name for port in outputs], given, strict=True)),
    )


def before_names(step: StreamingModel) -> list[str]:
    """The states' names."""
    return [spec.name for spec in step.plan.specs]


def _sized(port: Port, form: StreamForm, stream: bool) -> Port:
    rest = port.shape[1:]
    return dataclasses.replace(port, shape=(form.batch, form.chunk, *rest[1:]) if stream else (form.batch, *rest))


def write(step: StreamingModel, traced: Traced, fmt: Format, path: Path, target: Lowering, **options: Any) -> None:
    """Writes the file.

    Args:
        step: The step model.
        traced: Its step, by `trace_step`.
        fmt: The format.
        path: The file.
        target: The lowering with which the step was traced.
        **options: `metadata`; `quantizer`, the `Quantizer` of the step; for ONNX `opset`.
    """
    metadata, quantizer = options["metadata"], options["quantizer"]
    if fmt.name == "onnx":
        content = onnx.convert(traced, target.engine, metadata, options["opset"])  # type: ignore[arg-type]
        path.write_bytes(quantizer.onnx(content))
        return
    if fmt.name == "tflite":
        signatures = {STEP: traced, RESET: _trace_reset(step, batch=1)}
        if quantizer.precision not in CALIBRATED:  # the whole sequence is a loop, which cannot be calibrated
            signatures[SERVE] = trace(step.model, tflite.lowering())
        path.write_bytes(tflite.convert_signatures(signatures, metadata, quantizer.tflite))
        return
    whole = trace(step.model, saved_model.lowering())
    reset = _trace_reset(step, batch=None)
    saved_model.write_signatures({SERVE: whole, STEP: traced, RESET: reset}, path, metadata)


def _trace_reset(step: StreamingModel, batch: int | None) -> Traced:
    """The states before the first step, for `batch` streams, or for as many as the input `batch` says."""
    rows = {spec.name: spec.initial[np.newaxis] for spec in step.plan.specs}

    def call(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tensors["batch"] if tensors else batch
        return {
            name: tf.tile(tf.constant(row), tf.stack([count, *[1] * (row.ndim - 1)])) if tensors else tf.constant(row)
            for name, row in rows.items()
        }

    ports = [] if batch is not None else [Port("batch", (), "int32")]
    specs = {port.name: tf.TensorSpec(port.shape, port.dtype, name=port.name) for port in ports}
    function = tf.function(call, autograph=False).get_concrete_function(**specs)
    made = tuple(Port(spec.name, (batch, *spec.shape), spec.dtype) for spec in step.plan.specs)
    return Traced(step, function, Signature(tuple(ports), ((), {}), declared=True), made, ())


def describe(step: StreamingModel, form: StreamForm, entry: dict[str, Any]) -> dict[str, Any]:
    """What `export.Stream` must know of the file; `entry` is the step's own in the manifest."""
    plan = step.plan
    names = [port["name"] for port in entry["outputs"][: len(plan.rates)]]
    return {
        "chunk": form.chunk,
        "hop": plan.hop,
        "inputs": [port["name"] for port, sequence in zip(entry["inputs"], plan.streams, strict=False) if sequence],
        "outputs": {
            name: {"steps_per_hop": rate, "warmup": warmup}
            for name, rate, warmup in zip(names, plan.rates, plan.warmup, strict=True)
        },
        "states": [
            {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype, "initial": _initial(spec.initial)}
            for spec in plan.specs
        ],
    }


def _initial(value: np.ndarray) -> Any:
    """One number where all are the same, else nested lists."""
    flat = value.ravel()
    return flat[0].item() if flat.size and (flat == flat[0]).all() else value.tolist()
