"""The types of a builder's fields: what they allow stands in the annotation, once; checks and help derive from it."""

import dataclasses
import difflib
import inspect
import math
import numbers
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a field allows: at least `min`, at most `max`, less than `below`, more than `above`."""

    min: float = -math.inf
    max: float = math.inf
    below: float = math.inf
    above: float = -math.inf

    def __contains__(self, value: float) -> bool:
        inside = self.min <= value <= self.max
        return (
            inside and (value < self.below or self.below == math.inf) and (value > self.above or math.isinf(self.above))
        )

    def __str__(self) -> str:
        bounds = {"at least": self.min, "more than": self.above, "at most": self.max, "below": self.below}
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if math.isfinite(bound))


@dataclasses.dataclass(frozen=True)
class Length:
    """How many items a tuple must hold at the least."""

    min: int


PositiveInt = Annotated[int, Range(min=1)]
"""A size: units, features, classes."""
NaturalNumber = Annotated[int, Range(min=0)]
"""A count that may be zero, or an index."""
Rate = Annotated[float, Range(min=0, below=1)]
"""A share that is dropped; dropping everything is no model."""
PositiveFloat = Annotated[float, Range(above=0)]
"""A scale or a time constant."""
Units = Annotated[tuple[PositiveInt, ...], Length(1)]
"""The width of each layer of a stack, from the input up."""
VocabularySize = Annotated[int, Range(min=2)]
"""How many token ids there are, id 0 (padding) included."""

NOUNS = {int: "an integer", float: "a number", bool: "True or False", str: "a string"}


@dataclasses.dataclass(frozen=True)
class Field:
    """One argument of a builder.

    Attributes:
        name: The argument's name.
        annotation: Its type with its `Range` or `Length`, as written in the signature.
        default: Its default; `inspect.Parameter.empty` where the caller must give it.
        doc: Its line in the builder's docstring.
    """

    name: str
    annotation: Any
    default: Any
    doc: str

    @property
    def required(self) -> bool:
        """True if there is no default."""
        return self.default is inspect.Parameter.empty

    @property
    def type(self) -> str:
        """What the field accepts, in words."""
        return describe(self.annotation)

    def check(self, value: Any) -> Any:
        """Holds a value against the annotation.

        Args:
            value: What the caller gave.

        Returns:
            The value as the annotated type (a list becomes a tuple, a NumPy number a Python one).

        Raises:
            TypeError: The value has another type.
            ValueError: The type fits, the value is outside of what the field allows.
        """
        try:
            return accept(self.annotation, value)
        except (TypeError, ValueError) as error:
            hint = near_match(value, choices(self.annotation)) if isinstance(value, str) else ""
            raise type(error)(f"{self.name} must be {self.type}, got {value!r}{hint}") from None


def near_match(wrong: str, known: Iterable[str]) -> str:
    """Finds what the user may have meant.

    Args:
        wrong: What was written.
        known: What could have been written.

    Returns:
        `"; did you mean 'lstm'?"`, or an empty string where nothing is near.
    """
    near = difflib.get_close_matches(wrong, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def choices(annotation: Any) -> tuple[str, ...]:
    """Lists the strings that an annotation allows.

    Args:
        annotation: A type, perhaps a union that holds a `Literal`.

    Returns:
        The literal strings, empty if there are none.
    """
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(value for value in typing.get_args(annotation) if isinstance(value, str))
    return tuple(text for part in typing.get_args(annotation) for text in choices(part))


def describe(annotation: Any) -> str:
    """Puts an annotation into words.

    Args:
        annotation: A field's type, with its rules.

    Returns:
        For example `"an integer of at least 1"`.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        base, rule = args
        return (
            describe(base).replace("a tuple", "a non-empty tuple")
            if isinstance(rule, Length)
            else f"{NOUNS[base]} {rule}"
        )
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, args))
    if origin is tuple:
        variadic = len(args) == 2 and args[1] is Ellipsis
        return f"a tuple, each {describe(args[0])}" if variadic else f"a tuple ({', '.join(map(describe, args))})"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(describe, args))
    return "None" if annotation is types.NoneType else NOUNS[annotation]


def accept(annotation: Any, value: Any) -> Any:
    """Converts a value to an annotated type, or refuses it.

    Args:
        annotation: A field's type, with its rules.
        value: Anything.

    Returns:
        The value as that type.

    Raises:
        TypeError: Another type.
        ValueError: The right type, a value that its rules forbid.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _accept_rule(accept(args[0], value), args[1])
    if origin is typing.Literal:
        if value not in args:
            raise ValueError if isinstance(value, str) else TypeError
        return value
    if origin is tuple:
        return _accept_tuple(args, value)
    if origin in (typing.Union, types.UnionType):
        return _accept_union(args, value)
    return _accept_plain(annotation, value)


def _accept_rule(value: Any, rule: Range | Length) -> Any:
    allowed = len(value) >= rule.min if isinstance(rule, Length) else value in rule
    if not allowed:
        raise ValueError
    return value


def _accept_tuple(args: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    # JSON and YAML know no tuples: a list says the same thing.
    if not isinstance(value, (tuple, list)):
        raise TypeError
    parts = args[:1] * len(value) if args[-1] is Ellipsis else args
    if len(parts) != len(value):
        raise ValueError
    return tuple(accept(part, item) for part, item in zip(parts, value, strict=True))


def _accept_union(args: tuple[Any, ...], value: Any) -> Any:
    refusal: type[Exception] = TypeError
    for part in args:
        try:
            return accept(part, value)
        except ValueError:
            refusal = ValueError
        except TypeError:
            continue
    raise refusal


def _accept_plain(annotation: Any, value: Any) -> Any:
    # bool is an int to Python; units=True is a mistake all the same.
    if isinstance(value, bool) and annotation in (int, float):
        raise TypeError
    if annotation is int and isinstance(value, numbers.Integral):
        return int(value)
    if annotation is float and isinstance(value, numbers.Real):
        if not math.isfinite(value):
            raise ValueError
        return float(value)
    if isinstance(value, annotation):
        return value
    raise TypeError


def from_signature(builder: typing.Callable[..., Any], docs: Mapping[str, str]) -> dict[str, Field]:
    """Reads a builder's fields from its signature.

    Args:
        builder: A function with keyword-only, annotated arguments.
        docs: The docstring's line for each argument.

    Returns:
        Field name -> field, in the signature's order.

    Raises:
        TypeError: An argument can be given by position, lacks an annotation or lacks its line of documentation.
    """
    hints = typing.get_type_hints(builder, include_extras=True)
    fields = {}
    for name, parameter in inspect.signature(builder).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY or name not in hints or name not in docs:
            raise TypeError(f"{builder.__name__}: argument {name} must be keyword-only, annotated and documented")
        fields[name] = Field(name, hints[name], parameter.default, docs[name])
    return fields


def configure(owner: str, fields: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """Checks what a caller gave and adds the defaults.

    Args:
        owner: Whose fields they are, for the error messages.
        fields: Field name -> field.
        given: Field name -> value.

    Returns:
        Every field with its value.

    Raises:
        TypeError: An unknown or missing field, or a wrong type.
        ValueError: A value that its field doesn't allow.
    """
    for name in given:
        if name not in fields:
            hint = near_match(name, fields) or f"; it has {', '.join(fields)}"
            raise TypeError(f"{owner} has no field {name!r}{hint}")
    if missing := [name for name, field in fields.items() if field.required and name not in given]:
        raise TypeError(f"{owner} needs a value for {', '.join(missing)}")
    try:
        return {name: field.check(given[name]) if name in given else field.default for name, field in fields.items()}
    except (TypeError, ValueError) as error:
        raise type(error)(f"{owner}: {error}") from None
