"""What a recipe is: typed settings and four members. Free of Keras, so that the command's help does not wait for it."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, runtime_checkable

from recipes.errors import UsageError
from recipes.fields import Count, Positive, Range, Share, check, near_match

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.report import Section

    Arrays = Mapping[str, np.ndarray]
    Predict = Callable[[Arrays], Arrays]


@dataclasses.dataclass(frozen=True)
class Split:
    """A part of the data.

    Attributes:
        inputs: Input name -> array, examples along the first axis.
        targets: What the outputs should be, one for each example.
    """

    inputs: "Arrays"
    targets: "np.ndarray"

    def __len__(self) -> int:
        return len(self.targets)


@dataclasses.dataclass(frozen=True)
class Data:
    """What a recipe trains on and is judged by.

    Attributes:
        train: Weights are fitted to this part.
        validation: Chooses the epoch whose weights are kept.
        test: Is looked at once, when everything is chosen.
        summary: One sentence on what it is and where it comes from.
        labels: The name of each class, in the order of the outputs; empty where there are no classes.
        preprocessing: What a user of the exported file must do to raw data, for the manifest.
        augment: Changes a batch of training inputs at random: (inputs, seed of two integers) -> inputs, as tensors.
    """

    train: Split
    validation: Split
    test: Split
    summary: str
    labels: tuple[str, ...] = ()
    preprocessing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    augment: Callable[[dict[str, Any], Any], dict[str, Any]] | None = None


@dataclasses.dataclass(frozen=True)
class Objective:
    """What training lowers, and what it watches.

    Attributes:
        loss: A Keras loss.
        metrics: Keras metrics, shown for each epoch.
        monitor: The column of `metrics.csv` that chooses the best epoch.
        mode: Whether the best is the highest or the lowest.
    """

    loss: Any
    metrics: tuple[Any, ...]
    monitor: str
    mode: Literal["max", "min"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How good the outputs are.

    Attributes:
        metrics: Metric name -> value, the recipe's main one first.
        sections: What the report page shows of them; each is drawn only when the page is written.
    """

    metrics: dict[str, float]
    sections: tuple[Callable[[], "Section"], ...] = ()


@runtime_checkable
class Recipe(Protocol):
    """Data, model, training, judgement: each recipe has these four members, in this order.

    A recipe is a frozen dataclass: its fields are its settings, each with its default, its type and its line of
    documentation, and `dataclasses.replace` makes a variant.
    """

    def load_data(self) -> Data:
        """Reads, splits and prepares the data; the same split for every seed."""

    def build_model(self, data: Data) -> "keras.Model":
        """Builds the model, untrained."""

    def objective(self) -> Objective:
        """Says what training lowers and what it watches."""

    def judge(self, outputs: "Arrays", split: Split) -> Verdict:
        """Holds outputs, from Keras or from an artifact's runtime, against a part of the data."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """The settings that every recipe has."""

    epochs: Count = 20
    """Passes over the training data."""
    batch_size: Count = 64
    """Examples in a step of training."""
    learning_rate: Positive = 1e-3
    """Step size of Adam at the start."""
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    """How the learning rate falls from its start to its end over the epochs."""
    final_learning_rate: Share = 0.01
    """What is left of the learning rate at the end, as a share of the start (not for constant)."""
    clip_norm: Positive | None = None
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    clip_value: Positive | None = None
    """Cut each gradient to plus or minus this; either this or clip-norm."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Type of the arithmetic; weights are float32 in each."""
    patience: Count | None = None
    """Stop after this many epochs without a better one; None trains all epochs."""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    """Start of all randomness in training; the data's split does not depend on it."""

    def __post_init__(self) -> None:
        for name, annotation in field_types(type(self)).items():
            check(recipe_name(type(self)), name, annotation, getattr(self, name))
        if self.clip_norm is not None and self.clip_value is not None:
            raise UsageError(
                f"{recipe_name(type(self))}: Keras clips by norm or by value, not both; "
                f"got clip_norm={self.clip_norm:g} and clip_value={self.clip_value:g}"
            )


R = TypeVar("R", bound=RecipeConfig)
RECIPES: dict[str, type[RecipeConfig]] = {}


def register_recipe(recipe: type[R]) -> type[R]:
    """Makes a recipe known under the name of its module.

    Args:
        recipe: A frozen dataclass with the members of `Recipe`, all fields with defaults.

    Returns:
        The same class.

    Raises:
        ValueError: The name is taken.
        TypeError: A member is missing.
    """
    name = recipe.__module__.rpartition(".")[2]
    if name in RECIPES:
        raise ValueError(f"there is already a recipe {name!r}")
    if missing := [
        member for member in ("load_data", "build_model", "objective", "judge") if not hasattr(recipe, member)
    ]:
        raise TypeError(f"recipe {name!r} lacks {', '.join(missing)}")
    RECIPES[name] = recipe
    return recipe


def recipe_name(recipe: type[RecipeConfig]) -> str:
    """The name under which a recipe is registered, which its module's name is."""
    return recipe.__module__.rpartition(".")[2]


def field_types(recipe: type[RecipeConfig]) -> dict[str, Any]:
    """The fields of a recipe.

    Args:
        recipe: Its class.

    Returns:
        Field name -> annotation with its rules, in the order of definition.
    """
    hints = typing.get_type_hints(recipe, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(recipe)}


def configure(recipe: R, overrides: Mapping[str, Any]) -> R:
    """Makes a variant of a recipe.

    Args:
        recipe: Where the other fields' values come from.
        overrides: Field name -> value.

    Returns:
        A checked recipe.

    Raises:
        UsageError: An unknown field (with the near one) or a value that the field does not allow.
    """
    types = field_types(type(recipe))
    for name in overrides:
        if name not in types:
            raise UsageError(f"{recipe_name(type(recipe))} has no field {name!r}{near_match(name, types)}")
    # JSON and many callers write a list where a field holds a tuple.
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in overrides.items()}
    return dataclasses.replace(recipe, **values)
