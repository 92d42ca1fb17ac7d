"""What a tuner tries: the ranges that stand beside a recipe's fields, narrowed or widened by the user."""

import contextlib
import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from recipes.errors import UsageError
from recipes.fields import Search, accepts, check, near_match
from recipes.recipe import RecipeConfig, field_types, recipe_name

if typing.TYPE_CHECKING:
    import keras_tuner

Space = Mapping[str, Search]


def search_space(recipe: RecipeConfig, changes: Mapping[str, Any], fixed: Sequence[str]) -> dict[str, Search]:
    """Makes the space that is searched.

    Args:
        recipe: Whose fields are searched; those with a `Search` in their annotation.
        changes: Field name -> (low, high), a list of values, or a `Search`: what to try in place of what the recipe
            says, or for a field that it says nothing of.
        fixed: Fields that are not searched, since the user has given them a value.

    Returns:
        Field name -> what to try, in the order of the fields.

    Raises:
        UsageError: An unknown field, a value that it does not allow, an empty range, or nothing to search.
    """
    types, own = field_types(type(recipe)), recipe_name(type(recipe))
    for name in changes:
        if name not in types:
            raise UsageError(f"{own} has no field {name!r}{near_match(name, types)}")
    space = {}
    for name, annotation in types.items():
        search = changes.get(name, _declared(annotation))
        if search is not None and (name in changes or name not in fixed):
            space[name] = _checked(own, name, annotation, search)
    if not space:
        raise UsageError(f"{own}: nothing is left to search; give a field a space, such as learning_rate=1e-4:1e-2")
    return space


def parse_space(recipe: RecipeConfig, words: Sequence[str]) -> dict[str, Any]:
    """Reads spaces from the command line.

    Args:
        recipe: Whose fields they are of.
        words: Such as `"learning_rate=1e-4:1e-2"`, `"cell=gru,lstm"` or `"units=64,64+64"`: a range, or values; the
            numbers of one tuple are joined by `+`.

    Returns:
        What `search_space` takes as changes.

    Raises:
        UsageError: A word that can't be read.
    """
    types, own = field_types(type(recipe)), recipe_name(type(recipe))
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.replace("-", "_")
        if not equals or not text:
            raise UsageError(f"a space reads like learning_rate=1e-4:1e-2 or cell=gru,lstm; got {word!r}")
        if name not in types:
            raise UsageError(f"{own} has no field {name!r}{near_match(name, types)}")
        if ":" in text:
            low, _, high = text.partition(":")
            changes[name] = (_number(word, low), _number(word, high))
        else:
            changes[name] = [_value(own, name, types[name], part) for part in text.split(",")]
    return changes


def hyperparameters(space: Space, recipe: RecipeConfig) -> "keras_tuner.HyperParameters":
    """Says the space in KerasTuner's words.

    Args:
        space: What to try.
        recipe: Whose own values are the ones tried first, where the space holds them.

    Returns:
        One hyperparameter a field. Values from a list are named by their place in it: KerasTuner knows no tuples.
    """
    import keras_tuner

    made = keras_tuner.HyperParameters()
    for name, search in space.items():
        usual = getattr(recipe, name)
        if search.values:
            places = list(range(len(search.values)))
            made.Choice(name, places, default=search.values.index(usual) if usual in search.values else 0)
            continue
        is_whole = _is_whole(field_types(type(recipe))[name])
        kind = made.Int if is_whole else made.Float
        inside = usual is not None and search.low <= usual <= search.high
        cast = int if is_whole else float
        kind(
            name,
            cast(search.low),
            cast(search.high),
            sampling="log" if search.log else "linear",
            default=usual if inside else cast(search.low),
        )
    return made


def fields_of_trial(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a trial's values back.

    Args:
        space: What was tried.
        values: As KerasTuner gives them; those of its own, such as `tuner/epochs`, are left out.

    Returns:
        Field name -> value.
    """
    return {
        name: search.values[int(values[name])] if search.values else values[name]
        for name, search in space.items()
        if name in values
    }


def _declared(annotation: Any) -> Search | None:
    if typing.get_origin(annotation) is Annotated:
        return next((rule for rule in typing.get_args(annotation)[1:] if isinstance(rule, Search)), None)
    return None


def _checked(own: str, name: str, annotation: Any, search: Any) -> Search:
    if isinstance(search, tuple) and len(search) == 2 and not _holds_tuples(annotation):
        declared = _declared(annotation)
        # A range keeps the scale that the recipe has declared; one of several orders of magnitude asks for it.
        low, high = search
        search = Search(low, high, log=declared.log if declared else low > 0 and high / low >= 100)
    elif not isinstance(search, Search):
        search = Search(values=tuple(search))
    if search.low is not None:
        if not search.low < search.high:
            raise UsageError(f"{own}: {name} has no values from {search.low:g} to {search.high:g}")
        for end in (search.low, search.high):
            check(own, name, annotation, int(end) if _is_whole(annotation) and float(end).is_integer() else end)
        return search
    values = search.values or _all_values(annotation)
    if not values:
        raise UsageError(f"{own}: {name} needs a range or values to be searched")
    for value in values:
        check(own, name, annotation, value)
    return dataclasses.replace(search, values=tuple(dict.fromkeys(values)))


def _plain(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def _all_values(annotation: Any) -> tuple[Any, ...]:
    plain = _plain(annotation)
    if plain is bool:
        return (False, True)
    return typing.get_args(plain) if typing.get_origin(plain) is typing.Literal else ()


def _is_whole(annotation: Any) -> bool:
    return accepts(annotation, 3) and not any(accepts(annotation, value) for value in (0.35, 2.5))


def _holds_tuples(annotation: Any) -> bool:
    return typing.get_origin(_plain(annotation)) is tuple


def _number(word: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"{word!r}: {text!r} is no number") from None
    return int(number) if number.is_integer() and "e" not in text.lower() and "." not in text else number


def _value(own: str, name: str, annotation: Any, text: str) -> Any:
    if _holds_tuples(annotation):
        return tuple(_number(f"{name}={text}", part) for part in text.split("+"))
    readings = {"true": True, "false": False, "none": None}
    candidates: list[Any] = [readings[text.lower()]] if text.lower() in readings else []
    with contextlib.suppress(UsageError):
        candidates.append(_number(name, text))
    for candidate in (*candidates, text):
        if accepts(annotation, candidate):
            return candidate
    check(own, name, annotation, text)
    raise AssertionError("unreachable")
