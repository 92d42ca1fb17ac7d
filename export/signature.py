"""A model's inputs and outputs as flat, named, typed ports, whatever structure the model itself takes."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from export.errors import ExportError
from export.ports import HALF, Port, unique_names


@dataclasses.dataclass(frozen=True)
class Signature:
    """How to call a model with flat, named tensors.

    Attributes:
        inputs: The ports, in the order of the flattened input structure.
        structure: The arguments' nested structure; `pack` fills it.
        declared: The user said shapes and dtypes; otherwise they are what Keras saw in a call.
    """

    inputs: tuple[Port, ...]
    structure: tuple[tuple[Any, ...], dict[str, Any]]
    declared: bool

    def pack(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Flat tensors, in the order of `inputs`, to the model's positional and keyword arguments."""
        args, kwargs = keras.tree.pack_sequence_as(self.structure, list(tensors))
        return args, kwargs

    def with_shapes(self, shape_of: Callable[[Port], tuple[int | None, ...]]) -> "Signature":
        """The same signature with other shapes."""
        return dataclasses.replace(
            self, inputs=tuple(dataclasses.replace(port, shape=shape_of(port)) for port in self.inputs)
        )

    def with_sizes(self, batch: int | None, time: int | None) -> "Signature":
        """The same signature, its open axes fixed, the first to `batch`, the second to `time`, where given."""
        sizes = (batch, time)

        def fixed(port: Port) -> tuple[int | None, ...]:
            return tuple(sizes[axis] if size is None and axis < 2 else size for axis, size in enumerate(port.shape))

        return self.with_shapes(fixed)

    def with_token_ids(self, names: set[str], *, dynamic_time: bool) -> "Signature":
        """The same signature, the named inputs as integers, and if asked their time axis dynamic."""

        def as_ids(port: Port) -> Port:
            shape = (None, *[None] * (len(port.shape) > 1), *port.shape[2:]) if dynamic_time else port.shape
            return dataclasses.replace(port, dtype="int32", shape=shape)

        return dataclasses.replace(
            self, inputs=tuple(as_ids(port) if port.name in names else port for port in self.inputs)
        )


def candidate_signatures(model: keras.Model, input_signature: Any = None) -> Iterator[Signature]:
    """The signatures to try, the most general first.

    A shape that the user declared (`keras.Input`, `input_signature`) is kept, its batch axis made dynamic. A shape that
    Keras only saw in a call says nothing about the next call: there the time axis is tried dynamic first.

    Args:
        model: Any Keras model.
        input_signature: For models whose inputs Keras does not know: the specs (anything with shape, dtype and perhaps
            name) of the positional arguments, as a list, or of the keyword arguments, as a dict; nested as the model
            takes them.

    Raises:
        ExportError: The inputs are not known.
    """
    signature = _read_signature(model, input_signature)
    dynamic_batch = signature.with_shapes(lambda port: (None, *port.shape[1:])[: len(port.shape)])
    if not signature.declared:
        yield signature.with_shapes(_dynamic_time)
    yield dynamic_batch
    if any(port.shape and port.shape[0] is not None for port in signature.inputs):
        yield signature


def _dynamic_time(port: Port) -> tuple[int | None, ...]:
    """Dynamic batch, and time where there are features after it: of (batch, n), n may as well be a vector's size."""
    return (None, None, *port.shape[2:]) if len(port.shape) > 2 else (None, *port.shape[1:])


def _read_signature(model: keras.Model, input_signature: Any) -> Signature:
    if input_signature is not None:
        return _from_specs(model, input_signature, declared=True)
    if isinstance(model, keras.Sequential) and model.built and model.inputs:
        # A Sequential that was built by its first call records that call's concrete batch.
        shape, dtype = model.inputs[0].shape, model.inputs[0].dtype
        # Where nobody declared the input, Keras makes it as the first layer computes: perhaps in half precision.
        if dtype in HALF and dtype == model.layers[0].compute_dtype:
            dtype = "float32"
        spec = keras.InputSpec(shape=shape, dtype=dtype)
        return _flat([spec], ((0,), {}), [model.inputs[0].name], declared=shape[0] is None)
    struct = getattr(model, "_inputs_struct", None)
    if struct is not None:
        return _flat(keras.tree.flatten(struct), ((struct,), {}), declared=True)
    shapes = getattr(model, "_build_shapes_dict", None)
    if shapes and len(_call_arguments(model)) == 1:
        return _from_specs(model, [_specs_of_shapes(next(iter(shapes.values())))], declared=False)
    reason = "takes several arguments" if shapes else "was never called, so its input shapes are unknown"
    raise ExportError(
        f"model {model.name!r} {reason}; pass input_signature, "
        "e.g. input_signature=[keras.InputSpec(shape=(None, None, 8), dtype='float32')]"
    )


def _call_arguments(model: keras.Model) -> list[str]:
    """The arguments of `call` that take tensors."""
    parameters = list(inspect.signature(model.call).parameters.values())
    return [p.name for p in parameters if p.name not in ("training", "mask") and p.default is inspect.Parameter.empty]


def _takes_one(model: keras.Model) -> bool:
    """Whether `call` has no place for a second input, so that several come as a list."""
    parameters = inspect.signature(model.call).parameters.values()
    places = [p for p in parameters if p.name not in ("training", "mask")]
    return len(places) == 1 and places[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def _specs_of_shapes(shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {key: _specs_of_shapes(value) for key, value in shapes.items()}
    if all(isinstance(size, int) or size is None for size in shapes):
        return keras.InputSpec(shape=tuple(shapes), dtype="float32")
    return [_specs_of_shapes(value) for value in shapes]


def _from_specs(model: keras.Model, specs: Any, *, declared: bool) -> Signature:
    if isinstance(specs, (list, tuple)) and len(specs) > 1 and _takes_one(model):
        specs = [specs]
    if isinstance(specs, dict):
        structure: tuple[tuple[Any, ...], dict[str, Any]] = ((), dict(specs))
    else:
        structure = (tuple(specs) if isinstance(specs, (list, tuple)) else (specs,), {})
    arguments = _call_arguments(model)
    ports: list[tuple[str, Any]] = []
    for path, spec in keras.tree.flatten_with_path(structure):
        # ("0" args or "1" kwargs, argument, keys inside the argument ...)
        inside = [str(key) for key in path[2:]]
        argument = path[1] if path[0] == 1 else arguments[path[1]] if path[1] < len(arguments) else f"input_{path[1]}"
        named = [key for key in inside if not key.isdigit()]
        ports.append((getattr(spec, "name", None) or "_".join(inside if named else [str(argument), *inside]), spec))
    return _flat([spec for _, spec in ports], structure, [name for name, _ in ports], declared=declared)


def _flat(specs: list[Any], structure: Any, names: list[str] | None = None, *, declared: bool) -> Signature:
    names = unique_names(names or [spec.name for spec in specs])
    ports = []
    for name, spec in zip(names, specs, strict=True):
        if spec.shape is None or spec.dtype is None:
            raise ExportError(f"input {name!r}: give both shape and dtype in input_signature, not {spec}")
        dtype = spec.dtype.name if isinstance(spec.dtype, tf.DType) else keras.backend.standardize_dtype(spec.dtype)
        if not declared and dtype in HALF:
            dtype = "float32"  # what Keras saw was cast by a mixed policy already
        ports.append(Port(name, tuple(spec.shape), dtype))
    return Signature(tuple(ports), structure, declared)


def output_names(model: keras.Model, outputs: Any) -> list[str]:
    """Names for the flattened outputs: the dict's keys, else the output layers' names, else `output_0` ..."""
    flat = keras.tree.flatten_with_path(outputs)
    layers = getattr(model, "output_names", None) or getattr(getattr(model, "_functional", None), "output_names", None)
    if layers and len(layers) == len(flat) and not isinstance(outputs, dict):
        return unique_names(list(layers))
    names = []
    for path, _ in flat:
        keys = [str(key) for key in path]
        names.append("_".join(keys if keys and not keys[0].isdigit() else ["output", *(keys or ["0"])]))
    return unique_names(names)
