"""manifest.json: what a stranger needs to use the artifacts beside it."""

import dataclasses
import hashlib
import importlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.errors import ArtifactError, ExportError, first_line
from export.files import write_json
from export.formats import Format
from export.ports import Port, named_axes, written_names
from export.trace import Traced

NAME = "manifest.json"


def describe(traced: Traced, fmt: Format) -> dict[str, Any]:
    """One artifact's entry: how to feed it, what it gives, how its layers were lowered."""
    input_axes, output_axes = named_axes(traced.signature.inputs, traced.outputs)
    input_names, output_names = written_names(fmt.name, traced.signature.inputs, traced.outputs)
    return {
        "format": fmt.name,
        "precision": "float32",
        "runtime": {"package": fmt.runtime, "tested_with": _runtime_version(fmt.runtime)},
        "inputs": [
            _port(port, name, axes)
            for port, name, axes in zip(traced.signature.inputs, input_names, input_axes, strict=True)
        ],
        "outputs": [
            _port(port, name, axes) for port, name, axes in zip(traced.outputs, output_names, output_axes, strict=True)
        ],
        "recurrent_layers": [dataclasses.asdict(note) for note in traced.notes],
    }


def _runtime_version(package: str) -> str:
    """A runtime's version, under whatever name it was installed: tensorflow-cpu, onnxruntime-gpu, a nightly build."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        module = importlib.import_module(package.replace("-", "_"))
        return str(getattr(module, "__version__", "unknown"))


def _port(port: Port, name: str, axes: tuple[str | int, ...]) -> dict[str, Any]:
    told = {"name": name, "dtype": port.dtype, "axes": list(axes)}
    return told if name == port.name else {**told, "keras_name": port.name}


# What is written into an entry, or into the file beside the metadata, after this.
_WRITTEN = ("model", "precision", "stream", "left_in_float", "drift", "target", "bytes", "sha256")
_WRITTEN_OF_MICRO = ("arena_bytes", "ops", "code", "tensors", "resolver")


def with_metadata(entry: dict[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with what the user of the file needs besides.

    Raises:
        ExportError: It is not plain JSON, or takes a name that the entry needs itself.
    """
    for key in metadata:
        if key in (*entry, *_WRITTEN, *_WRITTEN_OF_MICRO):
            raise ExportError(f"metadata {key!r} is a word of the manifest's own; call it something else")
    try:
        text = json.dumps(dict(metadata), allow_nan=False, ensure_ascii=False)
        text.encode()  # half of a surrogate pair is JSON, but no text that a file can hold
        plain = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ExportError(f"metadata must be plain JSON values: {first_line(error)}") from error
    return {**entry, **plain}


def in_file(entry: dict[str, Any], model: str) -> dict[str, str]:
    """The entry as the metadata inside the file, but for how the layers were lowered: of no use to who runs it."""
    told = {key: value for key, value in entry.items() if key != "recurrent_layers"}
    return {"seqzoo": json.dumps({"model": model, **told}, ensure_ascii=False)}


def add(folder: Path, model: str, artifact: Path, entry: dict[str, Any]) -> None:
    """Adds an artifact's entry, or replaces it."""
    manifest = _read(folder) or {"artifacts": {}}
    manifest["seqzoo"] = _version()
    manifest["model"] = model
    manifest["artifacts"][artifact.name] = {**entry, "bytes": size_of(artifact), "sha256": digest(artifact)}
    write_json(folder / NAME, manifest)


def _version() -> str:
    try:
        return importlib.metadata.version("seqzoo")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "not installed"


def check(folder: Path) -> None:
    """Reads a manifest that is there already, before anything is made that it should name.

    Raises:
        ArtifactError: It is another tool's, or broken.
    """
    _read(folder)


def drop(folder: Path, artifact: Path) -> None:
    """Takes an artifact's entry out."""
    manifest = _read(folder)
    if manifest and manifest["artifacts"].pop(artifact.name, None):
        write_json(folder / NAME, manifest)


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / NAME
    if not path.exists():
        return None
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        manifest["artifacts"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{str(path)!r} is not a manifest of seqzoo; move it away and export again") from error
    return manifest


def size_of(artifact: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(path.stat().st_size for path in _files(artifact))


def digest(artifact: Path) -> str:
    """SHA-256 of a file; of a folder, over its files' names and contents."""
    total = hashlib.sha256()
    for path in _files(artifact):
        if artifact.is_dir():
            total.update(str(path.relative_to(artifact)).encode())
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _files(artifact: Path) -> list[Path]:
    return [artifact] if artifact.is_file() else sorted(path for path in artifact.rglob("*") if path.is_file())
