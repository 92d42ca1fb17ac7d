"""What a recipe is: typed settings and four members. Free of Keras, so that the command's help does not wait for it."""

import dataclasses
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from recipes.errors import UsageError
from recipes.fields import Count, Positive, Range, Share, check, near_match

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.checkpoints import Row
    from recipes.data import Arrays, Column, Data, Split
    from recipes.report import Section


@dataclasses.dataclass(frozen=True)
class Objective:
    """What training lowers, and what it watches.

    Attributes:
        loss: A Keras loss, or None where the model computes its own. Where targets are sequences, each step has a
            weight, 0 for padding; the reduction `"mean_with_sample_weight"` then makes it the mean over the steps.
        metrics: Keras metrics, shown for each epoch; padding has no weight in them.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Deployment:
    """One way in which a trained model leaves the house: what is exported, and how the files are judged.

    Attributes:
        model: What is exported: the model itself, or one made of it, such as a generator.
        name: The stem of the files' names.
        formats: The export formats; all where None.
        precisions: Each is a file of its own, in the formats that have it.
        options: Further arguments of `export_model`, such as `streaming=True` or `calibration=`.
        metrics: Computes the test metrics with a file. None: the recipe judges its outputs on the test part.
        example: The inputs of one call, whose latency is measured. None: the first test example.
    """

    model: "keras.Model"
    name: str = "model"
    formats: tuple[str, ...] | None = None
    precisions: tuple[str, ...] = ("float32",)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Callable[[Path], Mapping[str, float]] | None = None
    example: "Arrays | None" = None


@runtime_checkable
class Recipe(Protocol):
    """Data, model, training, judgement: each recipe has these four members, in this order.

    A recipe is a frozen dataclass: its fields are its settings, each with its default, its type and its line of
    documentation, and `dataclasses.replace` makes a variant.
    """

    def load_data(self) -> "Data":
        """Reads, splits and prepares the data; the same split for every seed."""

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds the model, untrained."""

    def objective(self) -> Objective:
        """Says what training lowers and what it watches."""

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Holds outputs, from Keras or from an artifact's runtime, against a part of the data."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """The settings that every recipe has, and the members that a recipe may have besides the four of `Recipe`."""

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Name -> settings that go together, such as those of a run that wants a GPU."""
    REFERENCE: ClassVar[str] = ""
    """What others report for the recipe's task, and where."""
    OWN_FILE: ClassVar[str] = ""
    """The field that names a file of the user's to learn from."""

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
    xla: bool = False
    """Compile the training step with XLA, for one device: slow to start, once for each length. A cell of many small
    operations in small batches is several times faster so; large batches and cuDNN's layers are slower."""
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

    @property
    def reference(self) -> str:
        """What others report for the task as it is set: stands beside our figure in RESULTS.md."""
        return self.REFERENCE

    @property
    def own_file(self) -> str | None:
        """The user's file that is learned from; None where the data are published or generated."""
        return getattr(self, self.OWN_FILE) if self.OWN_FILE else None

    @property
    def given(self) -> frozenset[str]:
        """The fields that somebody has set, be it to their defaults."""
        changed = {field.name for field in dataclasses.fields(self) if getattr(self, field.name) != field.default}
        return self.__dict__.get("_given", frozenset()) | changed

    def idle(self) -> dict[str, str]:
        """Says which settings have no effect as the others are: field -> why, such as "beside --csv"."""
        return {}

    def solve(self, model: "keras.Model", data: "Data") -> "Row | None":
        """Fits a model whose weights have a closed form, in place of training by gradients.

        Args:
            model: Untrained; gets its weights.
            data: What to fit and to validate on.

        Returns:
            The one row of `metrics.csv`, with `loss` and `val_loss`; None where the recipe trains by gradients.
        """
        return None

    def condense(self, outputs: "Arrays", inputs: "Arrays", targets: "np.ndarray") -> "Arrays":
        """Makes the outputs of a batch small before those of the whole part are kept: logits of 10,000 words are not.

        Args:
            outputs: Output name -> (batch, ...).
            inputs: What the model was given.
            targets: What the outputs should be.

        Returns:
            What `judge` needs, by name, (batch, ...).
        """
        return outputs

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Says what is exported.

        Args:
            model: Trained.
            data: Gives what the files' metadata tell, and calibration.

        Returns:
            The model itself in float32, in every format, unless a recipe has more to offer.
        """
        return (Deployment(model),)

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Draws what people of the task look at beside the metrics: samples, attention, states.

        Args:
            model: Trained.
            data: Where examples come from.

        Returns:
            Sections of the report page; each is drawn only when the page is written.
        """
        return ()


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


def configure(recipe: R, overrides: Mapping[str, Any], given: Collection[str] | None = None) -> R:
    """Makes a variant of a recipe.

    Args:
        recipe: Where the other fields' values come from.
        overrides: Field name -> value.
        given: Which of them count as given by the user, even at their defaults; None: all.

    Returns:
        A checked recipe.

    Raises:
        UsageError: An unknown field (with the near one) or a value that the field does not allow.
    """
    types = field_types(type(recipe))
    for name in overrides:
        if name not in types:
            raise UsageError(f"{recipe_name(type(recipe))} has no field {name!r}{near_match(name, types)}")
    # JSON and many callers write a list where a field holds a tuple, and a path where it holds a file's name.
    values = {
        name: tuple(value) if isinstance(value, list) else str(value) if isinstance(value, Path) else value
        for name, value in overrides.items()
    }
    made = dataclasses.replace(recipe, **values)
    # No field: what is a field is a setting. Whoever makes a variant otherwise loses no more than the defaults given.
    object.__setattr__(made, "_given", recipe.given.union(overrides if given is None else given))
    return made
