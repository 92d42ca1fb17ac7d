"""From a Keras model to a verified file."""

import dataclasses
import numbers
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from export import files, manifest, micro, onnx, saved_model, stream_export, tflite
from export.calibration import Calibration
from export.errors import ExportError, VerificationError
from export.float_parts import float_parts, left_in_float
from export.formats import FORMATS, Format, get_format
from export.native import lowering_of, not_native
from export.onnx_rnn import OnnxLowering
from export.quality import Evaluate
from export.quantization import Wish, refused_by_keras
from export.stream_precision import step_quantizer
from export.stream_verify import compare_stream
from export.streaming import StreamingModel, to_streaming
from export.trace import Traced, trace
from export.verification import compare
from export.verify_report import VerifyReport


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An exported model.

    Attributes:
        path: The file, or a SavedModel's folder.
        format: The format's name.
        bytes: Its size.
        report: How it compares with the model; None where verification was switched off.
    """

    path: Path
    format: str
    bytes: int
    report: VerifyReport | None


def export_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    input_signature: Any = None,
    metadata: Mapping[str, Any] | None = None,
    batch: int | None = None,
    time: int | None = None,
    opset: int = 18,
    verify: bool = True,
    require_native: bool = False,
    streaming: bool = False,
    chunk: int | None = None,
    target: str | None = None,
    precision: str = "float32",
    calibration: Calibration | None = None,
    evaluate: Evaluate | None = None,
    max_metric_drop: float | None = 1.0,
) -> Artifact:
    """Writes a Keras model with recurrent layers as a file that runs elsewhere, and proves that it does the same.

    Batch and time stay dynamic wherever the model leaves them open. Stateful layers start each call from their
    cells' initial states; layers in half precision compute in float32. `manifest.json` beside the artifact says how
    to use it. The artifact appears only when it is whole and verified.

    Args:
        model: Any Keras 3 model: functional, Sequential or subclassed.
        path: The file to write (`out/model.tflite`), or a folder, which gets `model.tflite` and so on.
        format: `saved_model`, `tflite` or `onnx`; may be left out where the path's suffix tells.
        input_signature: For a model whose inputs Keras does not know (subclassed, never called): a list of
            `keras.InputSpec` for its positional arguments (of a single argument that is a list: for that) or a dict for
            its keyword arguments; None in a shape is a dynamic axis.
        metadata: What the user of the file needs beside it: labels, vocabulary, normalisation, sample rate. Plain JSON
            values; written to the manifest and into the file.
        batch: Fix the batch axis to this size, for a runtime that takes static shapes only (LiteRT in a browser).
        time: Fix the time axis to this length.
        opset: ONNX only: the operator set's version.
        verify: Compare the artifact with the model before it is put in place.
        require_native: Fail where a recurrent layer is not the format's native form.
        streaming: Write a step model, as `to_streaming` makes it; implied where the model is one already. LiteRT and
            SavedModel get the signatures `step`, `serve` and `reset`, ONNX a step with states in and out. `Stream`
            runs them.
        chunk: Steps of input that one call of the step takes; by default as few as give an output.
        target: `micro` for a microcontroller: LiteRT with static shapes (`time` fixes an open one), a fused LSTM, only
            ops that the micro runtime has, in float32 or int8; steps in float32 or int16x8. C++ is written beside it.
        precision: `float32`, `float16`, `int8`, `int8_full` or `int16x8`; see `export.quantization` for what each is.
        calibration: Typical inputs, which `int8_full` and `int16x8` need: an `.npz` file or a dict of arrays by input
            name, examples along the first axis, or a list of dicts, one for each call. The artifact is compared with
            the model on these too.
        evaluate: Computes the task's metrics, as in `verify`; `evaluate_on` makes one.
        max_metric_drop: Fail where fewer bits make the main metric worse by more points than this; where there is no
            `evaluate`, where they move the outputs by more than the format's table allows. None takes any loss.

    Returns:
        The artifact.

    Raises:
        ExportError: The model cannot be written so; says which layer or op, and what to do. NotCausalError: it can't
            be streamed. QuantizationError: not in this precision. ArtifactError: there is a manifest.json of another
            tool.
        VerificationError: The artifact does not do what the model does; it is not kept.
    """
    if not isinstance(model, keras.Model):
        raise ExportError(f"export_model takes a keras.Model, not {type(model).__name__}")
    fmt, place = _target(Path(path), format or (None if target is None else "tflite"))
    stepwise = streaming or isinstance(model, StreamingModel)
    wish = Wish(precision, calibration, evaluate, max_metric_drop)
    if target is not None:
        wish = micro.wish_for(target, fmt, wish, stepwise)
    wish.check(fmt, target)
    _check_sizes(stepwise, target, batch=batch, time=time, chunk=chunk)
    manifest.check(place.parent)
    with files.scratch(place.parent) as room:
        written = room / place.name
        if target is not None and stepwise:
            job = _Job(*micro.step_job(to_streaming(model, input_signature=input_signature), wish, chunk))
        elif target is not None:
            job = _Job(*micro.whole_job(model, wish, input_signature, time))
        elif stepwise:
            job = _step_job(to_streaming(model, input_signature=input_signature), fmt, chunk, opset, wish)
        else:
            job = _whole_job(model, fmt, input_signature, opset, wish, batch=batch, time=time)
        if require_native:
            _require_native(job.traced, fmt)
        entry = manifest.with_metadata({**job.entry, "precision": wish.precision}, metadata or {})
        try:
            job.convert(written, manifest.in_file(entry, model.name))
        except ExportError as error:
            raise refused_by_keras(model, fmt) or error from error.__cause__
        if wish.precision != "float32":
            entry["left_in_float"] = left_in_float(float_parts(written, model))
        report = None
        if verify:
            report = _verified(job.check(written), place)
            if report.drift is not None:
                entry["drift"] = report.drift_json()
        if target is not None:
            entry |= micro.finish(written, place, report, entry)
        files.put_in_place(written, place)
        manifest.add(place.parent, model.name, place, entry)
    return Artifact(place, fmt.name, manifest.size_of(place), report)


@dataclasses.dataclass(frozen=True)
class _Job:
    """One export: the graph, its entry in the manifest, what writes it, and what compares it with the model."""

    traced: Traced
    entry: dict[str, Any]
    convert: Callable[[Path, dict[str, str]], None]
    check: Callable[[Path], VerifyReport]


def _check_sizes(stepwise: bool, target: str | None, **sizes: int | None) -> None:
    for name, size in sizes.items():
        if size is not None and (not isinstance(size, numbers.Integral) or size < 1):
            raise ExportError(f"{name}={size!r} must be a whole number of at least 1, or left out")
    if stepwise and (sizes["batch"] not in (None, 1) or sizes["time"] is not None):
        raise ExportError(
            "a step takes one stream in LiteRT and any number elsewhere, chunk= steps; leave batch and time out"
        )
    if not stepwise and sizes["chunk"] is not None:
        raise ExportError(f"chunk={sizes['chunk']} is for a step model; add streaming=True, or leave it out")
    if target is not None and sizes["batch"] not in (None, 1):
        raise ExportError(f"a microcontroller takes one row at a time, not batch={sizes['batch']}; leave batch out")


def _target(path: Path, format: str | None) -> tuple[Format, Path]:
    by_suffix = {fmt.suffix: fmt for fmt in FORMATS.values()}.get(path.suffix)
    if format is None:
        if by_suffix is None:
            raise ExportError(
                f"cannot tell the format of {str(path)!r} from its suffix; pass format, one of {', '.join(FORMATS)}"
            )
        return by_suffix, path
    fmt = get_format(format)
    if by_suffix is None:
        return fmt, path / f"model{fmt.suffix}"
    if by_suffix is not fmt:
        raise ExportError(f"{str(path)!r} has the suffix of {by_suffix.name}, not of {fmt.name} ({fmt.suffix})")
    return fmt, path


def _whole_job(
    model: keras.Model, fmt: Format, input_signature: Any, opset: int, wish: Wish, **sizes: int | None
) -> _Job:
    # Lambdas, not functions: three short ones below each other are easily compared.
    convert: Callable[[Path, dict[str, str]], None]
    lowering = lowering_of(fmt)
    traced = trace(model, lowering, input_signature, **sizes)
    quantizer = wish.quantizer(traced, fmt)
    if isinstance(lowering, OnnxLowering):
        engine = lowering.engine
        many = {"many_rows": wish.precision == "float32"}
        convert = lambda path, info: _write(path, quantizer.onnx(onnx.convert(traced, engine, info, opset, **many)))  # noqa: E731
    elif fmt.name == "tflite":
        convert = lambda path, info: _write(path, tflite.convert(traced, info, quantizer.tflite))  # noqa: E731
    else:
        convert = lambda path, info: saved_model.write(traced, path, info)  # noqa: E731
    judge: dict[str, Any] = {"evaluate": wish.evaluate, "max_metric_drop": wish.max_metric_drop}
    return _Job(
        traced,
        manifest.describe(traced, fmt),
        convert,
        lambda path: compare(traced, path, feeds=quantizer.feeds, **judge),
    )


def _step_job(step: StreamingModel, fmt: Format, chunk: int | None, opset: int, wish: Wish) -> _Job:
    form = stream_export.stream_form(step, fmt, chunk)
    lowering = stream_export.lowering(fmt)
    traced = stream_export.trace_step(step, lowering, form)
    entry = manifest.describe(traced, fmt)
    entry["stream"] = stream_export.describe(step, form, entry)
    quantizer = step_quantizer(step, traced, form, fmt, wish)

    def convert(path: Path, info: dict[str, str]) -> None:
        options: dict[str, Any] = {"metadata": info, "opset": opset, "quantizer": quantizer}
        stream_export.write(step, traced, fmt, path, lowering, **options)

    return _Job(traced, entry, convert, lambda path: compare_stream(step, path, fmt, wish))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _require_native(traced: Traced, fmt: Format) -> None:
    for miss in not_native(traced, fmt):
        raise ExportError(miss)


def _verified(report: VerifyReport, target: Path) -> VerifyReport:
    report.artifact = str(target)
    try:
        report.raise_for_failure()
    except VerificationError:
        # An older artifact of this name is not what the model does now either.
        files.remove(target)
        manifest.drop(target.parent, target)
        raise
    return report
