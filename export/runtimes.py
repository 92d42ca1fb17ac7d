"""Every artifact as one callable: dict of arrays -> dict of arrays, by the model's names.

Only SavedModels need TensorFlow.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from export import metadata
from export.errors import ArtifactError, first_line
from export.formats import format_of
from export.ports import TEXT, Port

Arrays = dict[str, np.ndarray]


# The whole-sequence signature of a file that holds a step too; other files have one signature only.
_WHOLE = "serve"


class Backend(Protocol):
    """One loaded artifact in its own runtime."""

    inputs: list[Port]
    outputs: list[Port]
    metadata: str | None

    def run(self, arrays: Arrays) -> Arrays:
        """Runs the artifact on inputs that were checked."""


class Runtime:
    """A loaded artifact.

    Attributes:
        path: The artifact.
        inputs: Its inputs, None where an axis is dynamic.
        outputs: Its outputs.
        metadata: What was written into it beside the model, by `export_model` and its `metadata`.
    """

    def __init__(self, path: Path, backend: Backend) -> None:
        self.path = path
        self.inputs = backend.inputs
        self.outputs = backend.outputs
        self.metadata = metadata.parse(backend.metadata)
        self._backend = backend

    def __call__(self, arrays: Mapping[str, Any]) -> Arrays:
        """Runs the artifact.

        Args:
            arrays: An array for each input, by name; dtype and shape as `inputs` says.

        Raises:
            ArtifactError: A name, rank, dtype or size does not fit, or an axis is empty (onnxruntime aborts the whole
                process on some of these), or the runtime fails.
        """
        checked = {port.name: _fit(port, arrays, self.path.name) for port in self.inputs}
        unknown = sorted(set(arrays) - set(checked))
        if unknown:
            raise ArtifactError(f"{self.path.name} has no input {unknown[0]!r}; its inputs are {_names(self.inputs)}")
        try:
            return self._backend.run(checked)
        except Exception as error:  # each runtime has exceptions of its own
            raise ArtifactError(f"{self.path.name} failed to run: {first_line(error)}") from error


def _names(ports: list[Port]) -> str:
    return ", ".join(repr(port.name) for port in ports)


def _fit(port: Port, arrays: Mapping[str, Any], artifact: str) -> np.ndarray:
    if port.name not in arrays:
        raise ArtifactError(f"{artifact} needs input {port.name!r}, which is missing from {sorted(arrays)}")
    array = np.asarray(arrays[port.name])
    wanted = f"{artifact} wants input {port.name!r} as {port.dtype} of shape {_shape(port.shape)}"
    if (TEXT if array.dtype.kind in "OSU" else array.dtype.name) != port.dtype:
        instead = "give an array of str" if port.dtype == TEXT else f"convert it with .astype({port.dtype!r})"
        raise ArtifactError(f"{wanted}, not {array.dtype.name}; {instead}")
    if array.ndim != len(port.shape) or any(
        size not in (None, given) for size, given in zip(port.shape, array.shape, strict=True)
    ):
        raise ArtifactError(f"{wanted}, not of shape {array.shape}")
    if 0 in array.shape:
        raise ArtifactError(f"{wanted} and at least one element, not of shape {array.shape}")
    return np.ascontiguousarray(array)


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def quiet_interpreter(content: bytes, threads: int) -> Any:
    """The LiteRT interpreter, without its notice on standard error."""
    from ai_edge_litert.interpreter import Interpreter

    with _no_stderr():  # "Created TensorFlow Lite XNNPACK delegate for CPU."
        return Interpreter(model_content=content, num_threads=threads)


class _Tflite:
    def __init__(self, path: Path, threads: int) -> None:
        self._content, self._threads = path.read_bytes(), threads
        self.metadata = metadata.of_tflite(self._content)
        self._runner = self._start()
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._taken, self._given = self._runner.get_input_details(), self._runner.get_output_details()
        self.inputs = [_tflite_port(name, d) for name, d in self._taken.items()]
        self.outputs = [_tflite_port(name, d) for name, d in self._given.items()]

    def _start(self) -> Any:
        interpreter = quiet_interpreter(self._content, self._threads)
        known = list(interpreter.get_signature_list())
        return interpreter.get_signature_runner(_WHOLE if _WHOLE in known else known[0])

    def run(self, arrays: Arrays) -> Arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
        if self._shapes not in (None, shapes):
            # LiteRT 2.3: after a change from batch 1 to more, the XNNPACK delegate may read stale memory in loops (seen
            # in a neural Turing machine, every second time; never with a new interpreter or without the delegate).
            self._runner = self._start()
        self._shapes = shapes
        outputs = self._runner(**{name: _to_integers(array, self._taken[name]) for name, array in arrays.items()})
        return {name: _from_integers(array, self._given[name]) for name, array in outputs.items()}


def _tflite_port(name: str, details: dict[str, Any]) -> Port:
    shape = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    dtype = "float32" if details["quantization"][0] else np.dtype(details["dtype"]).name
    return Port(name, tuple(None if size < 0 else int(size) for size in shape), dtype)


def _to_integers(array: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Numbers as a file takes them whose inputs are integers, as a microcontroller's are."""
    scale, zero_point = details["quantization"]
    if not scale:
        return array
    limits = np.iinfo(details["dtype"])
    integers: np.ndarray = np.clip(np.round(array / scale) + zero_point, limits.min, limits.max)
    return integers.astype(details["dtype"])


def _from_integers(array: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero_point = details["quantization"]
    return ((array.astype(np.float64) - zero_point) * scale).astype(np.float32) if scale else array


def quiet_session(path: Path, threads: int) -> Any:
    """The ONNX session, without its notices."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class _Onnx:
    def __init__(self, path: Path, threads: int) -> None:
        self._session = quiet_session(path, threads)
        self.metadata = self._session.get_modelmeta().custom_metadata_map.get(metadata.KEY)
        self.inputs = [_onnx_port(value) for value in self._session.get_inputs()]
        self.outputs = [_onnx_port(value) for value in self._session.get_outputs()]

    def run(self, arrays: Arrays) -> Arrays:
        names = [port.name for port in self.outputs]
        return dict(zip(names, self._session.run(names, arrays), strict=True))


_ONNX_DTYPES = {"float": "float32", "double": "float64"}


def _onnx_port(value: Any) -> Port:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Port(value.name, shape, _ONNX_DTYPES.get(kind, kind))


class _SavedModel:
    def __init__(self, path: Path, threads: int) -> None:
        import tensorflow as tf

        self.metadata = metadata.of_saved_model(path)
        self._loaded = tf.saved_model.load(str(path))  # held: its variables live as long as it does
        known = self._loaded.signatures
        self._function = known[_WHOLE] if _WHOLE in known else known["serving_default"]
        specs = self._function.structured_input_signature[1]
        self.inputs = [_spec_port(name, spec) for name, spec in specs.items()]
        self.outputs = [_spec_port(name, spec) for name, spec in self._function.structured_outputs.items()]

    def run(self, arrays: Arrays) -> Arrays:
        import tensorflow as tf

        return {name: y.numpy() for name, y in self._function(**{k: tf.constant(v) for k, v in arrays.items()}).items()}


def _spec_port(name: str, spec: Any) -> Port:
    return Port(name, tuple(spec.shape), spec.dtype.name)


_BACKENDS: dict[str, Callable[[Path, int], Backend]] = {"tflite": _Tflite, "onnx": _Onnx, "saved_model": _SavedModel}


def load_runtime(path: str | os.PathLike[str], threads: int = 1) -> Runtime:
    """Loads an artifact in its runtime.

    Args:
        path: A `.tflite` or `.onnx` file, or a SavedModel folder.
        threads: How many threads one call may use.

    Raises:
        ArtifactError: The artifact is missing, truncated or no such file.
    """
    path = Path(path)
    if not path.exists():
        raise ArtifactError(f"there is no artifact at {str(path)!r}")
    backend = _BACKENDS[format_of(path).name]
    try:
        return Runtime(path, backend(path, threads))
    except ImportError:
        raise
    except Exception as error:  # each runtime has exceptions of its own
        raise ArtifactError(f"cannot read {str(path)!r}: truncated or corrupted ({first_line(error, 120)})") from error


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Silences what C++ code writes to the process's standard error."""
    saved = os.dup(2)
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
