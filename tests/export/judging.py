"""Artifacts run and judged without `export`: the plain runtimes against Keras, called eagerly."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tests.export.random_models import VOCABULARY, Feed, Sample

Arrays = dict[str, np.ndarray]
SUFFIXES = {"saved_model": ".saved_model", "tflite": ".tflite", "onnx": ".onnx"}
FORMATS = tuple(SUFFIXES)


def plain_runtime(path: Path) -> Callable[[Mapping[str, np.ndarray]], Arrays]:
    """An artifact as a callable, by nothing but its own runtime."""
    return {".onnx": _onnx, ".tflite": _tflite}.get(path.suffix, _saved_model)(path)


def _onnx(path: Path) -> Callable[[Mapping[str, np.ndarray]], Arrays]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return lambda arrays: dict(zip(names, session.run(names, dict(arrays)), strict=True))


def _tflite(path: Path) -> Callable[[Mapping[str, np.ndarray]], Arrays]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=path.read_bytes(), num_threads=1).get_signature_runner()
    return lambda arrays: {name: np.array(y) for name, y in runner(**arrays).items()}


def _saved_model(path: Path) -> Callable[[Mapping[str, np.ndarray]], Arrays]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]

    def run(arrays: Mapping[str, np.ndarray]) -> Arrays:
        assert loaded is not None  # its variables live as long as it does
        return {name: y.numpy() for name, y in serve(**{k: tf.constant(v) for k, v in arrays.items()}).items()}

    return run


def feed(feeds: Sequence[Feed], batch: int, time: int, *, pad: bool = False, seed: int = 0) -> Arrays:
    """Random arrays; with `pad` the rows are full, right-padded, left-padded, holed and, every fifth, empty."""
    rng = np.random.default_rng(seed)
    arrays = {one.name: _values(one, _shape(one, batch, time), rng) for one in feeds}
    for one in feeds:
        padding = False if one.kind == "mask" else one.padding
        if pad and padding is not None:
            arrays[one.name][_masked(arrays[one.name].shape[:2], rng)] = padding
    return arrays


def _shape(one: Feed, batch: int, time: int) -> tuple[int, ...]:
    return tuple((batch, time)[axis] if size is None else size for axis, size in enumerate(one.shape))


def _values(one: Feed, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if one.kind == "mask":
        return np.ones(shape, bool)
    if one.kind == "ids":
        return rng.integers(1 if one.padding == 0 else 0, VOCABULARY, shape).astype("int32")
    return rng.normal(size=shape).astype("float32")


def _masked(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    batch, time = shape
    masked = np.zeros(shape, bool)
    for row in range(batch):
        cut = int(rng.integers(0, time + 1))
        if row % 5 == 1:
            masked[row, cut:] = True
        elif row % 5 == 2:
            masked[row, :cut] = True
        elif row % 5 == 3:
            masked[row] = rng.random(time) < 0.5
        elif row % 5 == 4:
            masked[row] = True
    return masked


def names_of(sample: Sample, result: Any) -> list[str] | None:
    """What Keras calls the outputs: a dict's keys, a functional model's output layers; None where it has no names."""
    if isinstance(result, dict):
        return ["_".join(map(str, path)) for path, _ in keras.tree.flatten_with_path(result)]
    model = sample.model
    names = getattr(model, "output_names", None) or getattr(getattr(model, "_functional", None), "output_names", None)
    if not names:
        return None
    return [name if names.index(name) == i else f"{name}_{names[:i].count(name)}" for i, name in enumerate(names)]


def disagreement(sample: Sample, path: Path, arrays: Arrays, renamed: Mapping[str, str]) -> str:
    """Runs the artifact twice on the arrays; says how it differs from Keras, or nothing.

    Args:
        sample: The model.
        path: The artifact.
        arrays: The inputs, by the sample's names.
        renamed: The sample's names -> the artifact's.
    """
    want = sample(arrays)
    expected = [np.asarray(y) for y in keras.tree.flatten(want)]
    run = plain_runtime(path)
    names = names_of(sample, want)
    for _ in range(2):
        got = run({renamed[name]: array for name, array in arrays.items()})
        if names is not None and set(names) != set(got):
            return f"outputs {sorted(got)}, Keras has {names}"
        for place, (y, name) in enumerate(zip(expected, names or got, strict=True)):
            problem = difference(y, got[name])
            if problem:
                return f"output {place} ({name}): {problem}"
    return ""


def difference(want: np.ndarray, have: np.ndarray) -> str:
    """What is wrong with one output; rows in which Keras itself is not finite say nothing."""
    if want.shape != have.shape or want.dtype != have.dtype:
        return f"{have.dtype} {have.shape}, Keras gives {want.dtype} {want.shape}"
    rows = want.reshape(len(want), -1).astype("float64")
    kept = np.isfinite(rows).all(axis=1)
    gap = np.abs(rows - have.reshape(len(want), -1))[kept]
    allowed = 2e-5 + 2e-4 * np.abs(rows[kept]).max(axis=1, initial=0.0, keepdims=True)
    return "" if (gap <= allowed).all() else f"differs by {gap.max():.2g}"
