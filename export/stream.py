"""A client for step artifacts: feed samples, get outputs. Needs the artifact's runtime and NumPy only."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from export import metadata
from export.errors import ArtifactError, first_line
from export.formats import format_of
from export.runtimes import quiet_interpreter, quiet_session

Arrays = dict[str, np.ndarray]


class StepBackend(Protocol):
    """One loaded step in its own runtime."""

    metadata: str | None
    batch: int | None

    def step(self, inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
        """-> (outputs, states)."""


class Stream:
    """A running sequence: remembers what the model must remember.

    One artifact may serve many streams, each a `Stream` of its own; `fork` makes another without loading it again.

    Example:
        stream = export.Stream("model.tflite")
        for samples in microphone:
            for name, y in stream.feed(samples).items(): ...
    """

    def __init__(
        self, artifact: Any, *, batch: int = 1, threads: int = 1, context: Mapping[str, Any] | None = None
    ) -> None:
        """Loads the artifact.

        Args:
            artifact: An `Artifact` or the path of one that was exported with `streaming=True`.
            batch: How many sequences run side by side; LiteRT's files take one.
            threads: How many threads one call may use.
            context: The model's inputs that are no sequences, by name, without batch axis or with it.

        Raises:
            ArtifactError: There is no step in the artifact, or it can't be read; the batch or the context does not fit.
        """
        path = Path(getattr(artifact, "path", artifact))
        self._backend, self._info = load_step(path, threads)
        self._path = path
        if not isinstance(batch, (int, np.integer)) or batch < 1:  # onnxruntime ends the process on some empty inputs
            raise ArtifactError(f"batch={batch!r} must be a whole number of at least 1")
        if self._backend.batch not in (None, batch):
            raise ArtifactError(f"{path.name} was exported for batch {self._backend.batch}, not {batch}")
        self._batch = batch
        self._ports = {port["name"]: port for port in self._info["inputs"]}
        self._stream = self._info["stream"]
        self.reset()
        self._constants = self._fit_context(context or {})

    def fork(self) -> "Stream":
        """Another stream through the same loaded artifact, from the start."""
        other = object.__new__(Stream)
        other.__dict__.update(self.__dict__)
        other.reset()
        return other

    def reset(self) -> None:
        """Forgets all: the next samples are the first ones."""
        self._states = {spec["name"]: _initial(spec, self._batch) for spec in self._stream["states"]}
        self._pending: Arrays = {}
        self._warmup = {name: output["warmup"] for name, output in self._stream["outputs"].items()}

    @property
    def chunk(self) -> int:
        """Steps that the artifact takes at a time; fewer are kept until the next `feed`."""
        return int(self._stream["chunk"])

    def feed(self, *samples: Any, **named: Any) -> Arrays:
        """Takes the next samples, any number of them.

        Args:
            *samples: The next steps of the model's only sequence: (steps, ...), or (batch, steps, ...).
            **named: The next steps of each sequence, by name, where the model has several.

        Returns:
            The outputs for the steps that are complete by now, by name, with a batch axis where the samples had one:
            (steps, ...), which may be no steps at all. An output without time axis is the latest value; it is left out
            as long as there is none.

        Raises:
            ArtifactError: The samples do not fit, or the runtime fails on them; the stream is as it was before.
        """
        arrays, squeeze = self._take(samples, named)
        waiting = self._pending
        arrays = {n: np.concatenate([waiting[n], x], 1) if n in waiting else x for n, x in arrays.items()}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self._stream["outputs"]}
        ready, states = min(array.shape[1] for array in arrays.values()) // self.chunk, self._states
        for index in range(ready):
            window = slice(index * self.chunk, (index + 1) * self.chunk)
            inputs = {name: np.ascontiguousarray(array[:, window]) for name, array in arrays.items()}
            try:
                outputs, states = self._backend.step({**inputs, **self._constants}, states)
            except Exception as error:  # each runtime has exceptions of its own
                raise ArtifactError(f"{self._path.name} failed to run: {first_line(error)}") from error
            for name, y in outputs.items():
                parts[name].append(y)
        # Only now, so that samples on which the runtime fails leave the stream as it was.
        self._states, self._pending = states, {name: x[:, ready * self.chunk :] for name, x in arrays.items()}
        joined = {name: self._join(name, ys) for name, ys in parts.items()}
        return {name: y[0] if squeeze else y for name, y in joined.items() if y is not None}

    def run(self, chunks: Iterable[Any]) -> Iterator[Arrays]:
        """Feeds chunk after chunk, as they come, and yields what `feed` gives."""
        for chunk in chunks:
            yield self.feed(chunk)

    def _take(self, samples: tuple[Any, ...], named: dict[str, Any]) -> tuple[Arrays, bool]:
        sequences = self._stream["inputs"]
        if len(samples) > 1 or (samples and (named or len(sequences) != 1)):
            raise ArtifactError(
                f"{self._path.name} takes the sequences {sequences} by name, e.g. feed({sequences[0]}=x)"
            )
        given = {sequences[0]: samples[0]} if samples else named
        if set(given) != set(sequences):
            raise ArtifactError(f"{self._path.name} takes the sequences {sequences}, not {sorted(given)}")
        taken = {name: self._shaped(name, np.asarray(array)) for name, array in given.items()}
        return {name: array for name, (array, _) in taken.items()}, all(squeezed for _, squeezed in taken.values())

    def _shaped(self, name: str, array: np.ndarray) -> tuple[np.ndarray, bool]:
        """-> ((batch, steps, ...), whether the batch axis was added)."""
        port = self._ports[name]
        rest = tuple(port["axes"][2:])
        if array.dtype.kind in _same_kind(port["dtype"]):
            array = array.astype(port["dtype"], copy=False)
        batched = array.ndim == 2 + len(rest)
        if rest == (1,) and array.shape[-1:] != (1,) and array.ndim in (1, 2):  # plain samples of one channel
            batched, array = array.ndim == 2, array[..., np.newaxis]
        full = array if batched else array[np.newaxis]
        fits = full.shape[:1] == (self._batch,) and _fits(full.shape, (self._batch, "steps", *rest))
        if array.dtype.name != port["dtype"] or not fits:
            shape = ", ".join(["steps", *map(str, rest)])
            raise ArtifactError(
                f"{self._path.name} wants {name!r} as {port['dtype']} of shape ({shape}), or with batch "
                f"{self._batch} before it, not {array.dtype.name} of shape {array.shape}"
            )
        return full, not batched

    def _fit_context(self, context: Mapping[str, Any]) -> Arrays:
        arrays = {}
        wanted = self._ports.keys() - set(self._stream["inputs"]) - self._states.keys()
        for name in wanted | context.keys():
            if name not in wanted:
                raise ArtifactError(f"{self._path.name} takes no {name!r} as context; it takes {sorted(wanted)}")
            if name not in context:
                raise ArtifactError(f"{self._path.name} needs the input {name!r} besides; pass it as context")
            port, array = self._ports[name], np.asarray(context[name])
            given, (_, *rest) = array.shape, port["axes"]
            array = array if array.ndim == 1 + len(rest) else array[np.newaxis]
            if array.dtype.kind not in _same_kind(port["dtype"]) or not _fits(array.shape, (self._batch, *rest)):
                shape = ", ".join(map(str, rest))
                raise ArtifactError(
                    f"{self._path.name} wants {name!r} as {port['dtype']} of shape ({shape}), or with batch "
                    f"{self._batch} before it, not {array.dtype.name} of shape {given}"
                )
            arrays[name] = np.ascontiguousarray(np.broadcast_to(array, (self._batch, *array.shape[1:])), port["dtype"])
        return arrays

    def _join(self, name: str, parts: list[np.ndarray]) -> np.ndarray | None:
        if self._stream["outputs"][name]["steps_per_hop"] is None:
            return parts[-1] if parts else None
        if not parts:
            shape = next(port["axes"] for port in self._info["outputs"] if port["name"] == name)
            dtype = next(port["dtype"] for port in self._info["outputs"] if port["name"] == name)
            sizes = [0 if isinstance(size, str) else size for size in shape[2:]]  # a named one is not known yet
            return np.zeros((self._batch, 0, *sizes), dtype)
        y = np.concatenate(parts, axis=1)
        skipped = min(self._warmup[name], y.shape[1])
        self._warmup[name] -= skipped
        return y[:, skipped:]


def _same_kind(dtype: str) -> str:
    """The kinds of arrays that may be given where this is wanted: integers of any size for integers."""
    kind = np.dtype(dtype).kind
    return "iu" if kind in "iu" else kind


def _fits(shape: tuple[int, ...], wanted: tuple[Any, ...]) -> bool:
    """Whether an array can be taken; one row stands for all of a batch, and a named size may be any."""
    return len(shape) == len(wanted) and all(
        size == want or isinstance(want, str) or (axis == 0 and size == 1)
        for axis, (size, want) in enumerate(zip(shape, wanted, strict=True))
    )


def _initial(spec: dict[str, Any], batch: int) -> np.ndarray:
    row = np.broadcast_to(np.array(spec["initial"], spec["dtype"]), spec["shape"])
    return np.repeat(row[np.newaxis], batch, axis=0)


class _Tflite:
    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert import schema_py_generated as schema

        content = path.read_bytes()
        model = schema.Model.GetRootAs(content)
        self.metadata = metadata.of_tflite(content)
        self._interpreter = quiet_interpreter(content, threads)
        self._interpreter.allocate_tensors()
        # The step is the first subgraph: a plain invoke, without the signature runner's copies, takes a third.
        self._inputs, self._outputs = {}, {}
        for step in (model.SignatureDefs(i) for i in range(model.SignatureDefsLength())):
            if step.SignatureKey() == b"step":
                self._inputs = {
                    e.Name().decode(): e.TensorIndex() for e in map(step.Inputs, range(step.InputsLength()))
                }
                self._outputs = {
                    e.Name().decode(): e.TensorIndex() for e in map(step.Outputs, range(step.OutputsLength()))
                }
        self.batch = 1

    def step(self, inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
        for name, array in (*inputs.items(), *states.items()):
            self._interpreter.set_tensor(self._inputs[name], array)
        self._interpreter.invoke()
        got = {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}
        return {name: y for name, y in got.items() if name not in states}, {name: got[name] for name in states}


class _Onnx:
    def __init__(self, path: Path, threads: int) -> None:
        self._session = quiet_session(path, threads)
        self.metadata = self._session.get_modelmeta().custom_metadata_map.get(metadata.KEY)
        self._outputs = [value.name for value in self._session.get_outputs()]
        self.batch = None

    def step(self, inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
        got = dict(zip(self._outputs, self._session.run(self._outputs, {**inputs, **states}), strict=True))
        after = {name: got.pop(f"{name}_out") for name in states}
        return got, after


class _SavedModel:
    def __init__(self, path: Path, threads: int) -> None:
        import tensorflow as tf

        self.metadata = metadata.of_saved_model(path)
        self._loaded = tf.saved_model.load(str(path))
        self._function = self._loaded.signatures.get("step")
        self.batch = None

    def step(self, inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
        import tensorflow as tf

        given = {name: tf.constant(array) for name, array in {**inputs, **states}.items()}
        got = {name: y.numpy() for name, y in self._function(**given).items()}
        return {name: y for name, y in got.items() if name not in states}, {name: got[name] for name in states}


_BACKENDS: dict[str, Any] = {"tflite": _Tflite, "onnx": _Onnx, "saved_model": _SavedModel}


def holds_step(path: Path) -> bool:
    """Whether an artifact was exported with `streaming=True`."""
    try:
        load_step(path, 1)
    except ArtifactError:
        return False
    return True


def load_step(path: str | os.PathLike[str], threads: int) -> tuple[StepBackend, dict[str, Any]]:
    """-> (an artifact's step in its own runtime, the artifact's entry in the manifest).

    Raises:
        ArtifactError: There is no step in the artifact, or it can't be read.
    """
    path = Path(path)
    if not path.exists():
        raise ArtifactError(f"there is no artifact at {str(path)!r}")
    try:
        backend = _BACKENDS[format_of(path).name](path, threads)
    except ImportError:
        raise
    except Exception as error:  # each runtime has exceptions of its own
        raise ArtifactError(f"cannot read {str(path)!r}: truncated or corrupted ({first_line(error, 120)})") from error
    info = json.loads(backend.metadata) if backend.metadata else {}
    if "stream" not in info:
        raise ArtifactError(f"{str(path)!r} holds no step; export it again with streaming=True")
    return backend, info
