"""A recipe's input pipeline alone against the training step that it feeds: `python -m benchmarks.pipelines RECIPE ...`.

A recipe whose raw files are in a folder is named with it: `name_generation=../data/names-by-language`. Prints the table
of docs/benchmarks.md, with the share of an epoch's steps that is padding; fails where a pipeline is not three times as
fast as its step.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from typing import Any

import recipes
from benchmarks.interleaved import table
from recipes import bptt, pipelines, training
from recipes.data import Stream
from recipes.recipe import RecipeConfig

ENOUGH = 3.0
"""How many times as fast as the training step a pipeline must be."""


def measure(recipe: RecipeConfig, *, batches: int = 20, repeats: int = 3) -> tuple[float, float, float]:
    """Times a recipe's pipeline and its training step, in turns.

    Args:
        recipe: One that is trained by gradients.
        batches: In one turn of each.
        repeats: The fastest turn of so many counts.

    Returns:
        Seconds a batch: of the pipeline alone, of the step alone; the share of the training part that is padding.
    """
    with training.numerics(recipe):
        data = recipe.load_data()
        model = recipe.build_model(data)
        if isinstance(data.train, Stream):
            model = bptt.carrying(model, recipe.batch_size)
        training.compile_model(model, recipe, recipe.objective(), data)
        batches = min(batches, pipelines.steps_per_epoch(data.train, recipe.batch_size))
        held = _drained(_stream(recipe, model, data, 0), batches)[1]
        # The shortest and the longest first: TensorFlow traces once for any length.
        for batch in (held[0], held[-1], held[0]):
            model.train_on_batch(*batch)
        feeding, steps = [], []
        for turn in range(repeats):
            feeding.append(_drained(_stream(recipe, model, data, turn), batches)[0])
            start = time.perf_counter()
            for batch in held:
                model.train_on_batch(*batch)
            steps.append(time.perf_counter() - start)
    padding = 0.0 if isinstance(data.train, Stream) else pipelines.padding_share(data.train, recipe.batch_size)
    return min(feeding) / batches, min(steps) / batches, padding


def _stream(recipe: RecipeConfig, model: Any, data: Any, epoch: int) -> Iterator[Any]:
    stream = pipelines.training_stream(
        data, model, batch_size=recipe.batch_size, seed=recipe.seed, first=epoch, epochs=epoch + 2
    )
    return iter(stream)


def _drained(stream: Iterator[Any], batches: int) -> tuple[float, list[Any]]:
    """Seconds for so many batches after the first, with which the epoch's order is made, and the batches."""
    held = [next(stream)]
    # What was prepared before the clock is not counted, nor is what is prepared beyond the last: the pipeline's depth.
    start = time.perf_counter()
    held += [next(stream) for _ in range(batches)]
    return time.perf_counter() - start, held[1:]


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recipes", nargs="+", metavar="RECIPE[=FOLDER]", help="with the folder of its raw files")
    parser.add_argument("--batches", type=int, default=20, help="how many make a turn")
    rows, slow = [], []
    asked = parser.parse_args()
    for word in asked.recipes:
        name, _, folder = word.partition("=")
        recipe = recipes.get_recipe(name)
        if folder:
            recipe = dataclasses.replace(recipe, data_dir=folder)
        feeding, step, padding = measure(recipe, batches=asked.batches)
        share = f"{padding:.1%}" if padding else "-"
        rows.append([name, f"{1e3 * feeding:.2f}", f"{1e3 * step:.1f}", f"{step / feeding:.1f}", share])
        slow += [name] * (step < ENOUGH * feeding)
        print(f"{name}: {step / feeding:.1f}", file=sys.stderr, flush=True)
    print(table(["recipe", "pipeline, ms a batch", "training step, ms", "times faster", "padding"], rows))
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
