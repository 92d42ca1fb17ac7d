"""What a recipe's field allows stands in its annotation, once: the checks and `seqzoo show` derive from it.

Free of Keras, so that the command's help does not wait for it.
"""

import dataclasses
import difflib
import math
import numbers
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from recipes.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a field allows.

    Attributes:
        low: The lowest.
        high: The highest.
        above: `low` itself is not allowed.
        below: `high` itself is not allowed.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, number: float) -> bool:
        high_enough = number > self.low if self.above else number >= self.low
        return high_enough and (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        low = f"{'more than' if self.above else 'at least'} {self.low:.10g}"
        return low if self.high == math.inf else f"{low} and {'below' if self.below else 'at most'} {self.high:.10g}"


@dataclasses.dataclass(frozen=True)
class Search:
    """What a tuner tries for a field. A field without it is not searched.

    Attributes:
        low: The lowest number.
        high: The highest.
        log: Numbers are spread over the orders of magnitude.
        values: What there is to choose from, in place of numbers from a range; of a `Literal` or a bool, all of its
            values where none are given.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    values: tuple[Any, ...] = ()


Count = Annotated[int, Range(1)]
"""A number of things: at least one."""
Positive = Annotated[float, Range(0, above=True)]
"""A rate or a bound that zero would make meaningless."""
Share = Annotated[float, Range(0, 1)]
"""A part of a whole."""
Rate = Annotated[float, Range(0, 1, below=True)]
"""A part that is dropped; dropping everything is no model."""
LearningRate = Annotated[Positive, Search(1e-3, 2e-2, log=True)]
"""A step size of Adam."""
Dropout = Annotated[Rate, Search(0.0, 0.5)]
"""A share of what a layer reads."""
Cell = Annotated[Literal["simple_rnn", "lstm", "gru"], Search()]
"""A kind of recurrent layer."""
AnyCell = Annotated[
    Literal["simple_rnn", "lstm", "lstm_layer_norm", "gru", "minimal_gated"], Search(values=("lstm", "gru"))
]
"""A kind of recurrent layer, the zoo's own among them."""

NOUNS = {int: "an integer", float: "a number", bool: "true or false", str: "a text", types.NoneType: "None"}


def near_match(wrong: object, known: Iterable[str]) -> str:
    """Finds what the user may have meant.

    Args:
        wrong: What was written.
        known: What could have been written.

    Returns:
        `"; did you mean 'digits'?"`, or what there is to choose from where nothing is near.
    """
    names = list(known)
    near = difflib.get_close_matches(str(wrong), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; choose from {', '.join(names)}"


def describe(annotation: Any) -> str:
    """Puts an annotation into words.

    Args:
        annotation: A field's type.

    Returns:
        For example `"an integer, at least 1"`.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return ", ".join([describe(args[0]), *(str(rule) for rule in args[1:] if isinstance(rule, Range))])
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple:
        return f"one or more, each {describe(args[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(describe, args))
    return NOUNS[annotation]


def accepts(annotation: Any, value: Any) -> bool:
    """Holds a value against an annotation.

    Args:
        annotation: A field's type: int, float, bool, str, None, `Literal`, a union, a tuple of one type, a `Range`.
        value: What the user gave.

    Returns:
        True if the field may have this value. NaN is no number, True is no integer, an empty tuple is none.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return accepts(args[0], value) and all(value in rule for rule in args[1:] if isinstance(rule, Range))
    if origin is typing.Literal:
        return value in args and not isinstance(value, bool)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) > 0 and all(accepts(args[0], item) for item in value)
    if origin in (typing.Union, types.UnionType):
        return any(accepts(part, value) for part in args)
    if annotation in (int, float):
        kind = numbers.Integral if annotation is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, annotation)


def check(owner: str, name: str, annotation: Any, value: Any) -> None:
    """Refuses a value that a field does not allow.

    Args:
        owner: Whose field it is, for the message.
        name: The field's name.
        annotation: The field's type.
        value: What the user gave.

    Raises:
        UsageError: One line that names the field, the value, what is allowed and, for a name, the near one.
    """
    if accepts(annotation, value):
        return
    plain = typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation
    choices = [choice for choice in typing.get_args(plain) if isinstance(choice, str)]
    hint = near_match(value, choices) if typing.get_origin(plain) is typing.Literal else ""
    raise UsageError(f"{owner}: {name} must be {describe(annotation)}; got {value!r}{hint}")
