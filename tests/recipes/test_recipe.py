"""Fields, their checks, the registry."""

import dataclasses
import math
import sys
from typing import Annotated, Literal

import pytest

import recipes
from recipes.errors import UsageError
from recipes.fields import Range, accepts, describe, near_match
from recipes.recipe import RECIPES, Recipe, RecipeConfig, configure, field_types, register_recipe


@pytest.mark.parametrize("name", recipes.list_recipes())
def test_every_recipe_keeps_the_protocol(name):
    recipe = recipes.get_recipe(name)
    members = ["load_data", "build_model", "objective", "judge"]
    assert isinstance(recipe, Recipe)
    assert isinstance(recipe, RecipeConfig)
    # The same members in the same order: who knows one recipe's file knows all.
    assert [member for member in vars(type(recipe)) if member in members] == members
    assert type(recipe).__doc__
    for field, annotation in field_types(type(recipe)).items():
        assert accepts(annotation, getattr(recipe, field))
        assert describe(annotation)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 3


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("epochs", 0, "epochs must be an integer, at least 1; got 0"),
        ("epochs", 2.5, "epochs must be an integer, at least 1; got 2.5"),
        ("epochs", True, "got True"),
        ("epochs", "5", "got '5'"),
        ("batch_size", -1, "batch_size must be an integer, at least 1; got -1"),
        ("learning_rate", -1, "learning_rate must be a number, more than 0; got -1"),
        ("learning_rate", 0, "learning_rate must be a number, more than 0; got 0"),
        ("learning_rate", math.nan, "got nan"),
        ("learning_rate", math.inf, "got inf"),
        ("final_learning_rate", 1.5, "at least 0 and at most 1; got 1.5"),
        ("schedule", "cosin", "got 'cosin'; did you mean 'cosine'?"),
        ("precision", "mixed_float", "did you mean 'mixed_float16'?"),
        ("clip_norm", 0, "clip_norm must be a number, more than 0 or None; got 0"),
        ("patience", 0, "patience"),
        ("seed", -1, "seed must be an integer, at least 0 and at most 2147483647; got -1"),
        ("seed", 2**31, "seed"),
        ("cell", "gruu", "did you mean 'gru'?"),
        ("units", (), "units must be one or more, each an integer, at least 1; got ()"),
        ("units", (8, 0), "got (8, 0)"),
        ("units", 8, "got 8"),
        ("dropout", 1.0, "dropout must be a number, at least 0 and below 1; got 1.0"),
        ("bidirectional", 1, "bidirectional must be true or false; got 1"),
    ],
)
def test_nonsense_is_refused_in_one_line(field, value, words):
    with pytest.raises(UsageError) as refusal:
        configure(recipes.get_recipe("digits"), {field: value})
    assert words in str(refusal.value)
    assert str(refusal.value).startswith("digits: ")
    assert "\n" not in str(refusal.value)


def test_keras_clips_by_norm_or_by_value():
    digits = recipes.get_recipe("digits")
    assert configure(digits, {"clip_norm": 1.0}).clip_norm == 1.0
    assert configure(digits, {"clip_value": 0.5}).clip_value == 0.5
    with pytest.raises(UsageError, match=r"not both; got clip_norm=1 and clip_value=0\.5"):
        configure(digits, {"clip_norm": 1.0, "clip_value": 0.5})


def test_an_unknown_field_names_the_near_one():
    with pytest.raises(UsageError, match="digits has no field 'epoch'; did you mean 'epochs'"):
        configure(recipes.get_recipe("digits"), {"epoch": 3})
    with pytest.raises(UsageError, match="no field 'zzz'; choose from epochs, batch_size"):
        configure(recipes.get_recipe("digits"), {"zzz": 3})


def test_an_unknown_recipe_names_the_near_one():
    with pytest.raises(UsageError, match="unknown recipe 'digit'; did you mean 'digits'"):
        recipes.get_recipe("digit")
    with pytest.raises(UsageError, match="unknown recipe 'digit'"):
        recipes.run("digit")


def test_a_list_serves_as_a_tuple():
    assert configure(recipes.get_recipe("digits"), {"units": [4, 5]}).units == (4, 5)


def test_listing_takes_wildcards():
    assert "digits" in recipes.list_recipes("dig*")
    assert recipes.list_recipes("no*") == []


def test_registering(monkeypatch):
    monkeypatch.setattr(sys.modules["recipes.recipe"], "RECIPES", known := {})

    class Half(RecipeConfig):
        def load_data(self): ...

    with pytest.raises(TypeError, match="'test_recipe' lacks build_model, objective, judge"):
        register_recipe(Half)

    class Whole(Half):
        def build_model(self, data): ...

        def objective(self): ...

        def judge(self, outputs, split): ...

    assert register_recipe(Whole) is Whole
    assert known == {"test_recipe": Whole}
    with pytest.raises(ValueError, match="there is already a recipe 'test_recipe'"):
        register_recipe(Whole)
    assert "test_recipe" not in RECIPES


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [0, -3], [0.0, True, "1", None, math.nan]),
        (float, [0, 1.5], [True, "1", None, math.inf, math.nan]),
        (bool, [True, False], [0, 1, "true"]),
        (str, ["", "a"], [1, None]),
        (Literal["a", "b"], ["a"], ["c", 1, None, True]),
        (int | None, [None, 3], ["x", 1.5]),
        (tuple[int, ...], [(1,), (1, 2)], [(), (1.5,), [1], 1]),
        (Annotated[int, Range(1, 3)], [1, 3], [0, 4]),
        (Annotated[float, Range(0, 1, above=True, below=True)], [0.5], [0, 1]),
        (tuple[Annotated[int, Range(1)], ...] | None, [None, (1,)], [(0,)]),
    ],
)
def test_accepts(annotation, good, bad):
    assert all(accepts(annotation, value) for value in good)
    assert not any(accepts(annotation, value) for value in bad)


def test_near_match():
    assert near_match("tflit", ["onnx", "tflite"]) == "; did you mean 'tflite'?"
    assert near_match("q", ["onnx", "tflite"]) == "; choose from onnx, tflite"
    assert near_match(3, ["onnx"]) == "; choose from onnx"
