"""What the registry knows of a model: its task's shape, its tensors with named axes, its fields."""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any

import keras

from zoo.docstrings import section
from zoo.fields import Field, configure

Config = Mapping[str, Any]
"""Field name -> value."""

DYNAMIC_AXES = frozenset(
    {"batch", "time", "source_time", "target_time", "nodes", "levels", "width", "sentences", "words", "question_words"}
)
"""Axes whose length each call chooses, unless the builder has a field of that name; any other axis is a field."""


class TaskShape(enum.StrEnum):
    """How the lengths of input and output relate."""

    ONE_TO_MANY = "one-to-many"
    MANY_TO_ONE = "many-to-one"
    MANY_TO_MANY = "many-to-many"
    ENCODER_DECODER = "encoder-decoder"
    TREE_TO_ONE = "tree-to-one"


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One named input or output of a model.

    Attributes:
        axes: Axis names, batch first: a field of the builder, else one of `DYNAMIC_AXES`.
        below: For integer tensors such as token ids: the field or axis whose size they stay below. None: real numbers.
        condition: A field and the values, as text, under which the model has this tensor. None: it always has.
    """

    axes: tuple[str, ...]
    below: str | None = None
    condition: tuple[str, tuple[str, ...]] | None = None

    @classmethod
    def parse(cls, notation: str) -> "TensorSpec":
        """Reads `"batch time features"` (real numbers) or `"batch time < vocabulary"` (integers in [0, vocabulary)).

        Args:
            notation: Axis names apart by spaces; for integers, `<` and the bound's name. A tensor that not every
                configuration has ends in its condition: `"batch time classes if mode=sample|best"`.

        Returns:
            The parsed specification.

        Raises:
            ValueError: The notation names no axis, doesn't start with `batch`, or has more than one bound.
        """
        form, _, condition = notation.partition(" if ")
        names, *bounds = form.split("<")
        axes = tuple(names.split())
        bound = [bound.strip() for bound in bounds]
        if not axes or axes[0] != "batch" or len(bound) > 1 or not all(b.isidentifier() for b in (*axes, *bound)):
            raise ValueError(
                f"axes must read like 'batch time features' or 'batch time < vocabulary', got {notation!r}"
            )
        field, _, values = condition.partition("=")
        return cls(axes, bound[0] if bound else None, (field, tuple(values.split("|"))) if condition else None)

    @property
    def dtype(self) -> str:
        """`float32`, or `int32` for tensors of ids."""
        return "float32" if self.below is None else "int32"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the notation mentions."""
        extra = (self.below, self.condition[0] if self.condition else None)
        return (*self.axes, *(name for name in extra if name is not None))

    def is_present(self, config: Config) -> bool:
        """Tells whether a configuration has this tensor: its condition holds, none of the fields it mentions is None.

        Args:
            config: Every field of the builder with its value.

        Returns:
            False for, say, `features` where the configuration reads token ids.
        """
        field, values = self.condition or (None, ())
        if field is not None and str(config[field]) not in values:
            return False
        return all(config.get(name, 0) is not None for name in self.names)

    def shape(self, config: Config) -> tuple[int | None, ...]:
        """Gives the static shape under a configuration.

        Args:
            config: Every field of the builder with its value.

        Returns:
            One entry an axis; None where the axis is dynamic.
        """
        return tuple(int(config[axis]) if axis in config else None for axis in self.axes)

    def __str__(self) -> str:
        bound = "" if self.below is None else f" < {self.below}"
        condition = f" if {self.condition[0]}={'|'.join(self.condition[1])}" if self.condition else ""
        return " ".join(self.axes) + bound + condition


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A registry entry.

    Attributes:
        name: The builder's name, by which `create_model` finds it.
        builder: The function that builds the model; checks its fields first.
        shape: How input and output lengths relate.
        inputs: Input name -> tensor. One that mentions a field that is None is absent (`TensorSpec.is_present`).
        outputs: Output name -> tensor.
        streamable: Whether step by step equals the whole sequence, under the default configuration.
        references: Where the model comes from.
        tiny: The fields of the size that tests build.
        fields: Field name -> type, default and documentation, in the signature's order.
        docstring: The builder's documentation.
        unsupported: Export format -> why it can't hold this model.
    """

    name: str
    builder: Callable[..., keras.Model]
    shape: TaskShape
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    references: tuple[str, ...]
    tiny: Config
    fields: Mapping[str, Field]
    docstring: str
    unsupported: Mapping[str, str]
    _streamable: bool | Callable[[Config], bool]

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.docstring.split("\n", 1)[0]

    @property
    def equation(self) -> str:
        """The docstring's `Equation` section."""
        return section(self.docstring, "Equation")

    @property
    def streamable(self) -> bool:
        """Whether step by step equals the whole sequence, under the default configuration."""
        return self.is_streamable()

    def is_streamable(self, **fields: Any) -> bool:
        """Tells whether a configuration can run step by step: it reads no future and keeps its past in states.

        Args:
            **fields: Fields that differ from their defaults; required ones may be left out.

        Returns:
            True if feeding the steps one by one, with states, equals feeding the whole sequence.
        """
        required = {name: self.tiny[name] for name, field in self.fields.items() if field.required}
        config = self.configure(**(required | fields))
        return self._streamable(config) if callable(self._streamable) else self._streamable

    def configure(self, **fields: Any) -> dict[str, Any]:
        """Checks fields and adds the defaults.

        Args:
            **fields: What `create_model` would be given.

        Returns:
            Every field with its value.

        Raises:
            TypeError: An unknown or missing field, or a wrong type.
            ValueError: A value that its field doesn't allow.
        """
        return configure(self.name, self.fields, fields)
