"""The registry: a builder's signature is its configuration; the decorator holds what a signature can't say."""

import fnmatch
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import keras

from zoo.docstrings import entries, section
from zoo.fields import from_signature, near_match
from zoo.specs import DYNAMIC_AXES, Config, ModelSpec, TaskShape, TensorSpec

P = ParamSpec("P")

_MODELS: dict[str, ModelSpec] = {}


def register_model(
    *,
    shape: TaskShape,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    streamable: bool | Callable[[Config], bool],
    references: tuple[str, ...],
    tiny: Config,
    unsupported: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, keras.Model]], Callable[P, keras.Model]]:
    """Makes a builder known by its name, and lets it check its fields before it builds.

    Args:
        shape: How input and output lengths relate.
        inputs: Input name -> axes, as `TensorSpec.parse` reads them.
        outputs: Output name -> axes.
        streamable: Whether step by step equals the whole sequence; a function of the configuration where that decides.
        references: Papers, with DOI or address.
        tiny: Fields for the smallest model that still shows the mechanism.
        unsupported: Export format -> why it can't hold this model.

    Returns:
        The decorator. It raises ValueError for a name that is taken, and for an axis that is neither a field nor
        dynamic.
    """

    def register(builder: Callable[P, keras.Model]) -> Callable[P, keras.Model]:
        name, docstring = builder.__name__, inspect.getdoc(builder) or ""
        if name in _MODELS:
            raise ValueError(f"there is already a model {name!r}, from {_MODELS[name].builder.__module__}")

        @functools.wraps(builder)
        def checked(*args: P.args, **fields: P.kwargs) -> keras.Model:
            if args:
                raise TypeError(f"{name} takes its fields by name")
            config = spec.configure(**fields)
            try:
                return builder(**config)  # type: ignore[call-arg]  # checked against the builder's fields
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error

        spec = ModelSpec(
            name=name,
            builder=checked,
            shape=shape,
            inputs={key: TensorSpec.parse(axes) for key, axes in inputs.items()},
            outputs={key: TensorSpec.parse(axes) for key, axes in outputs.items()},
            references=references,
            tiny=dict(tiny),
            fields=from_signature(builder, entries(section(docstring, "Args"))),
            docstring=docstring,
            unsupported=dict(unsupported or {}),
            _streamable=streamable,
        )
        mentioned = {axis for tensor in (*spec.inputs.values(), *spec.outputs.values()) for axis in tensor.names}
        if unknown := mentioned - DYNAMIC_AXES - set(spec.fields):
            raise ValueError(
                f"{name}: axis {sorted(unknown)[0]!r} is neither a field nor one of {sorted(DYNAMIC_AXES)}"
            )
        _MODELS[name] = spec
        return checked

    return register


def list_models(
    pattern: str = "*", *, shape: TaskShape | str | None = None, streamable: bool | None = None
) -> list[str]:
    """Lists the names in the registry.

    Args:
        pattern: A name with wildcards, such as `"*tagger*"`.
        shape: Only models of this task shape, such as `"many-to-many"`.
        streamable: Only models that can (or can't) run step by step under their default configuration.

    Returns:
        Names in alphabetical order.

    Raises:
        ValueError: There is no such task shape.
    """
    shapes = [str(known) for known in TaskShape]
    if shape is not None and shape not in shapes:
        raise ValueError(f"unknown task shape {shape!r}; one of {', '.join(shapes)}{near_match(shape, shapes)}")
    return sorted(
        spec.name
        for spec in _MODELS.values()
        if fnmatch.fnmatchcase(spec.name, pattern)
        and shape in (None, spec.shape)
        and streamable in (None, spec.streamable)
    )


def get_spec(name: str) -> ModelSpec:
    """Looks a model up.

    Args:
        name: The builder's name.

    Returns:
        Its registry entry.

    Raises:
        ValueError: There is no such model.
    """
    if name not in _MODELS:
        hint = near_match(str(name), _MODELS) or f"; there are {', '.join(sorted(_MODELS))}"
        raise ValueError(f"unknown model {name!r}{hint}")
    return _MODELS[name]


def create_model(name: str, /, **fields: Any) -> keras.Model:
    """Builds a model by name.

    Args:
        name: The builder's name, see `list_models`.
        **fields: The builder's arguments, see `get_spec(name).fields`.

    Returns:
        A functional model with fresh weights.

    Raises:
        TypeError: An unknown or missing field, or a wrong type.
        ValueError: An unknown name, or a value that its field doesn't allow.
    """
    return get_spec(name).builder(**fields)
