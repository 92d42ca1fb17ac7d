"""Named, typed inputs and outputs. Without TensorFlow: the runtimes use them too."""

import dataclasses
import keyword
import re
from collections.abc import Callable, Sequence

# Names that Keras makes up. They change when a model is saved and loaded, so they identify nothing.
AUTOMATIC_NAME = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?$")

HALF = ("float16", "bfloat16")
"""Types in which Keras computes and the runtimes on a CPU do not."""

TEXT = "string"
"""What Keras and TensorFlow call texts; in NumPy they are objects, or of a type for each length."""


@dataclasses.dataclass(frozen=True)
class Port:
    """One input or output: its name, shape (None where dynamic) and dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def unique_names(names: Sequence[str], fold: Callable[[str], str] = str) -> list[str]:
    """The names, repeated ones numbered: y, y -> y, y_1. No number makes a name that another one has already.

    Args:
        names: The names; of equal ones the first stays as it is.
        fold: What two names must differ in.
    """
    given, seen = {fold(name) for name in names}, set[str]()
    result = []
    for name in names:
        candidate, number = name, 0
        while fold(candidate) in seen or (number and fold(candidate) in given):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(fold(candidate))
        result.append(candidate)
    return result


def named_axes(
    inputs: Sequence[Port], outputs: Sequence[Port]
) -> tuple[list[tuple[str | int, ...]], list[tuple[str | int, ...]]]:
    """The ports' shapes with names for the dynamic axes: `batch`, `time`.

    Two sequences may have two lengths, so with several of them each has a time axis of its own.
    """
    sequences = [port for port in inputs if len(port.shape) > 1 and port.shape[1] is None]

    def axes(port: Port) -> tuple[str | int, ...]:
        names = {0: "batch", 1: "time" if len(sequences) == 1 else f"{port.name}_time"}
        return tuple(
            names.get(i, f"{port.name}_axis_{i}") if size is None else size for i, size in enumerate(port.shape)
        )

    return [axes(port) for port in inputs], [axes(port) for port in outputs]


def identifiers(names: Sequence[str]) -> list[str]:
    """The names as tf.function's arguments and a SavedModel's signature want them.

    Python identifiers that begin with a letter, and differ in more than upper and lower case. A name that is one stays
    as it is: of `a b` and `a_b` the first becomes `a_b_1`.
    """
    plain = [re.sub(r"\W", "_", name, flags=re.ASCII) for name in names]
    plain = [name if name[:1].isalpha() else f"x_{name.lstrip('_')}" for name in plain]
    plain = [f"{name}_" if keyword.iskeyword(name) or name == "self" else name for name in plain]
    return _unchanged_first(names, plain, str.lower)


def written_names(format: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[list[str], list[str]]:
    """-> (the inputs' names in an artifact, the outputs'); the model's own wherever the format can have them.

    A SavedModel's inputs are identifiers. In ONNX a value has one name, so an output can't share an input's: x, x_out.
    """
    taken, given = [port.name for port in inputs], [port.name for port in outputs]
    if format == "saved_model":
        return identifiers(taken), given
    if format == "onnx":
        wanted = [f"{name}_out" if name in taken else name for name in given]
        return taken, _unchanged_first([*taken, *given], [*taken, *wanted])[len(taken) :]
    return taken, given


def _unchanged_first(names: Sequence[str], wanted: Sequence[str], fold: Callable[[str], str] = str) -> list[str]:
    """The wanted names, numbered where they are equal; those that are as they were stay so."""
    order = sorted(range(len(names)), key=lambda place: wanted[place] != names[place])
    unique = dict(zip(order, unique_names([wanted[place] for place in order], fold), strict=True))
    return [unique[place] for place in range(len(names))]
