"""A text of few words, and the recipe that learns from it in little time."""

import random
from typing import Any

import recipes
from recipes.recipe import configure

WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "and", "then", "ran", "away", "from", "Bob"]
SMALL = {"epochs": 3, "units": (6,), "embedding": 4, "window": 16, "batch_size": 8, "dropout": 0.2}


def sentences(count: int) -> str:
    pick = random.Random(0).choice
    return "".join(" ".join(pick(WORDS) for _ in range(8)) + "\n" for _ in range(count))


def own(**fields: Any) -> Any:
    return configure(recipes.get_recipe("language_model"), SMALL | fields)
