"""From a Keras model to a verified file."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from export import files, manifest, onnx, saved_model, tflite
from export.errors import ExportError, VerificationError
from export.formats import FORMATS, Format, get_format
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
    opset: int = 18,
    verify: bool = True,
    require_native: bool = False,
) -> Artifact:
    """Writes a Keras model with recurrent layers as a file that runs elsewhere, and proves that it does the same.

    Batch and time stay dynamic wherever the model leaves them open. Stateful layers start each call from zeros; layers
    in half precision compute in float32. `manifest.json` beside the artifact says how to use it. The artifact appears
    only when it is whole and verified.

    Args:
        model: Any Keras 3 model: functional, Sequential or subclassed.
        path: The file to write (`out/model.tflite`), or a folder, which gets `model.tflite` and so on.
        format: `saved_model`, `tflite` or `onnx`; may be left out where the path's suffix tells.
        input_signature: For a model whose inputs Keras does not know (subclassed, never called): a list of
            `keras.InputSpec` for its positional arguments or a dict for its keyword arguments; None in a shape is a
            dynamic axis.
        metadata: What the user of the file needs beside it: labels, vocabulary, normalisation, sample rate. Plain JSON
            values; written to the manifest and into the file.
        opset: ONNX only: the operator set's version.
        verify: Compare the artifact with the model before it is put in place.
        require_native: Fail where a recurrent layer is not the format's native form.

    Returns:
        The artifact.

    Raises:
        ExportError: The model cannot be written so; says which layer or op, and what to do.
        VerificationError: The artifact does not do what the model does; it is not kept.
    """
    if not isinstance(model, keras.Model):
        raise ExportError(f"export_model takes a keras.Model, not {type(model).__name__}")
    fmt, target = _target(Path(path), format)
    with files.scratch(target.parent) as room:
        written = room / target.name
        traced, convert = _trace(model, fmt, input_signature, opset)
        if require_native:
            _require_native(traced, fmt)
        entry = manifest.describe(traced, fmt, dict(metadata or {}))
        convert(written, manifest.in_file(entry, model.name))
        report = None
        if verify:
            report = _verify(traced, written, target)
        files.put_in_place(written, target)
        manifest.add(target.parent, model.name, target, entry)
    return Artifact(target, fmt.name, manifest.size_of(target), report)


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


def _trace(
    model: keras.Model, fmt: Format, input_signature: Any, opset: int
) -> tuple[Traced, Callable[[Path, dict[str, str]], None]]:
    """-> (the model's graph for this format, what writes it to a path)."""
    if fmt.name == "onnx":
        lowering = onnx.lowering()
        traced = trace(model, lowering, input_signature)
        return traced, lambda path, info: _write(path, onnx.convert(traced, lowering.engine, info, opset))
    if fmt.name == "tflite":
        traced = trace(model, tflite.lowering(), input_signature)
        return traced, lambda path, info: _write(path, tflite.convert(traced, info))
    traced = trace(model, saved_model.lowering(), input_signature)
    return traced, lambda path, info: saved_model.write(traced, path, info)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _require_native(traced: Traced, fmt: Format) -> None:
    for note in traced.notes:
        if note.reason:
            raise ExportError(f"layer {note.layer!r} has no native form in {fmt.name}: {note.reason}")


def _verify(traced: Traced, written: Path, target: Path) -> VerifyReport:
    report = compare(traced, written)
    report.artifact = str(target)
    try:
        report.raise_for_failure()
    except VerificationError:
        # An older artifact of this name is not what the model does now either.
        files.remove(target)
        manifest.drop(target.parent, target)
        raise
    return report
