"""Any model of the zoo in a recipe: the recipe's fields and the task's sizes become the builder's arguments."""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import zoo
from recipes.errors import UsageError
from recipes.recipe import RecipeConfig, recipe_name
from zoo.fields import Field
from zoo.specs import ModelSpec, TensorSpec

if TYPE_CHECKING:
    import keras


def build(
    recipe: RecipeConfig, name: str, usual: str, task: Mapping[str, Any], also: Collection[str] = ()
) -> "keras.Model":
    """Builds a model of the zoo for a recipe.

    Args:
        recipe: Its fields of the builder's names, such as `units`, are passed on.
        name: The model.
        usual: The model that the recipe uses unless told otherwise: the other must be of its shape.
        task: What the data settle: builder's argument -> value, such as `vocabulary` and `classes`.
        also: Outputs that the recipe can do with besides those of the usual model.

    Returns:
        The model, untrained.

    Raises:
        UsageError: There is no such model, it is of another shape, lacks an input or output that the recipe has, or has
            one that the recipe does not know, has no field for a setting that was given, or refuses a value.
    """
    own = recipe_name(type(recipe))
    try:
        spec = zoo.get_spec(name)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{own}: {error.args[0]}") from error
    wanted = zoo.get_spec(usual)
    known = set(wanted.fields)
    when_nothing_is_said = getattr(type(recipe), "model", usual)
    if when_nothing_is_said in zoo.list_models() and zoo.get_spec(when_nothing_is_said).shape is not wanted.shape:
        # A recipe for models of two shapes: its fields are those of the other shape's.
        known |= set(zoo.get_spec(when_nothing_is_said).fields)
    settings = [field.name for field in dataclasses.fields(recipe) if field.name in known]
    given = recipe.given
    if strange := [setting for setting in settings if setting in given and setting not in spec.fields]:
        raise UsageError(f"{own}: {name} has no {strange[0]}; leave out --{strange[0].replace('_', '-')}")
    if why := _misfit(spec, wanted, task, also):
        others = zoo.list_models(shape=str(wanted.shape))
        fitting = ", ".join(other for other in others if not _misfit(zoo.get_spec(other), wanted, task, also))
        raise UsageError(f"{own} can't use {name}: it {why}; choose from {fitting}")
    fields = dict(task)
    for setting in settings:
        # What nobody gave is left to another builder's own default.
        if setting in spec.fields and setting not in fields and (name == usual or setting in given):
            fields[setting] = suited(name, spec.fields[setting], getattr(recipe, setting))
    try:
        return zoo.create_model(name, **fields)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{own}: {error}") from error


def suited(model: str, field: Field, value: Any) -> Any:
    """Brings a width to a builder's form: several models have one layer, whose width is a number, others a stack.

    Args:
        model: The zoo's model.
        field: One of its fields.
        value: What a recipe has for it: a number, or a tuple.

    Returns:
        The value, or the number of a tuple of one, or a tuple of one for a number.

    Raises:
        UsageError: A tuple of several for a single layer.
    """
    # Annotated[tuple[...], rule] or a plain type
    arguments = typing.get_args(field.annotation)
    is_stack = bool(arguments) and typing.get_origin(arguments[0]) is tuple
    if is_stack or not isinstance(value, tuple):
        return (value,) if is_stack and isinstance(value, int) else value
    if len(value) > 1:
        raise UsageError(f"{model} has one {field.name}, got {len(value)} of them: {' '.join(map(str, value))}")
    return value[0]


def _misfit(spec: ModelSpec, wanted: ModelSpec, task: Mapping[str, Any], also: Collection[str]) -> str:
    """Why a model can't stand in for the usual one; empty if it can."""
    if spec.shape is not wanted.shape:
        return f"is {spec.shape}, not {wanted.shape}"
    if missing := [field for field in task if field not in spec.fields]:
        return f"has no {missing[0]}"
    if strange := _present(spec, spec.inputs, task) - set(wanted.inputs):
        return f"reads {min(strange)} too"
    if lacking := _present(wanted, wanted.outputs, task) - set(spec.outputs):
        return f"does not give {min(lacking)}"
    if more := _present(spec, spec.outputs, task) - set(wanted.outputs) - set(also):
        return f"gives {min(more)} too"
    return ""


def _present(spec: ModelSpec, tensors: Mapping[str, TensorSpec], task: Mapping[str, Any]) -> set[str]:
    """The inputs or outputs that a model has for a task."""
    config = {name: field.default for name, field in spec.fields.items()} | dict(task)
    return {name for name, tensor in tensors.items() if tensor.is_present(config)}
