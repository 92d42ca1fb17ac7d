"""Named, typed inputs and outputs. Without TensorFlow: the runtimes use them too."""

import dataclasses
import keyword
import re
from collections.abc import Sequence

# Names that Keras makes up. They change when a model is saved and loaded, so they identify nothing.
AUTOMATIC_NAME = re.compile(r"(keras_tensor|input_layer|input)(_\d+)?$")

HALF = ("float16", "bfloat16")
"""Types in which Keras computes and the runtimes on a CPU do not."""


@dataclasses.dataclass(frozen=True)
class Port:
    """One input or output: its name, shape (None where dynamic) and dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def unique_names(names: list[str]) -> list[str]:
    """The names, repeated ones numbered: y, y -> y, y_1. No number makes a name that another one has already."""
    seen: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 0
        while candidate in seen or (number and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate)
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
    """The names as Python identifiers, as tf.function's arguments and a SavedModel's signature want them."""
    plain = [re.sub(r"\W", "_", name, flags=re.ASCII) for name in names]
    plain = [f"_{name}" if not name or name[0].isdigit() or name == "self" else name for name in plain]
    return unique_names([f"{name}_" if keyword.iskeyword(name) else name for name in plain])
