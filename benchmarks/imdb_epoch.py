"""An epoch of IMDb in buckets, padded to one length, and in PyTorch: `python -m benchmarks.imdb_epoch`.

Needs torch 2.13 beside seqzoo. Prints the table of docs/benchmarks.md. The model is the recipe's: embedding, LSTM in
both directions, attention pooling, Adam. Measured is a sample of an epoch's batches, the same reviews for all.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import torch

import recipes
from benchmarks.interleaved import table
from recipes import pipelines, training
from recipes.data import Data, Split
from recipes.text_classification import TextClassifier

Step = Callable[[np.ndarray], None]
"""Trains on the reviews of these rows."""


class Classifier(torch.nn.Module):
    """PyTorch's counterpart of the recipe's model."""

    def __init__(self, recipe: TextClassifier, vocabulary: int, packed: bool) -> None:
        super().__init__()
        (units,) = recipe.units
        self.embedding = torch.nn.Embedding(vocabulary, recipe.embedding, padding_idx=0)
        self.lstm = torch.nn.LSTM(recipe.embedding, units, bidirectional=True, batch_first=True)
        self.key, self.query = torch.nn.Linear(2 * units, 2 * units), torch.nn.Linear(2 * units, 1, bias=False)
        self.logits = torch.nn.Linear(2 * units, 2)
        self.dropout, self.packed = torch.nn.Dropout(recipe.dropout), packed

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(batch, time) -> (batch, 2)."""
        mask = ids != 0
        x = self.embedding(ids)
        # The same features at every step, as in the recipe's model.
        x = x * self.dropout(torch.ones_like(x[:, :1]))
        if self.packed:
            parts = torch.nn.utils.rnn.pack_padded_sequence(x, mask.sum(1), batch_first=True, enforce_sorted=False)
            x, _ = torch.nn.utils.rnn.pad_packed_sequence(self.lstm(parts)[0], batch_first=True)
        else:
            x, _ = self.lstm(x)
        scores = self.query(torch.tanh(self.key(x))).masked_fill(~mask[..., None], -1e30)
        return self.logits(self.dropout((torch.softmax(scores, 1) * x).sum(1)))


def keras_step(recipe: TextClassifier, data: Data, length: int | None) -> Step:
    """Our step: batches padded to their longest, or all to one length."""
    model = recipe.build_model(data)
    training.compile_model(model, recipe, recipe.objective(), data)

    def step(rows: np.ndarray) -> None:
        ids, targets = batch(data.train, rows, length)
        model.train_on_batch(ids, targets)

    return step


def torch_step(recipe: TextClassifier, data: Data, length: int | None, packed: bool) -> Step:
    """PyTorch's step."""
    model = Classifier(recipe, len(data.metadata["vocabulary"]), packed)
    optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate)

    def step(rows: np.ndarray) -> None:
        ids, targets = batch(data.train, rows, length)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(ids)), torch.from_numpy(targets).long())
        loss.backward()
        optimizer.step()

    return step


def batch(split: Split, rows: np.ndarray, length: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(batch, time) ids, perhaps padded on to a length, and (batch,) targets."""
    inputs, targets, _ = split.batch(rows)
    ids = inputs["token_ids"]
    return np.pad(ids, [(0, 0), (0, (length or ids.shape[1]) - ids.shape[1])]), targets


def seconds(steps: dict[str, Step], batches: dict[str, Sequence[np.ndarray]]) -> dict[str, float]:
    """Processor time of each contender over all its batches; they take turns, batch by batch."""
    for name, step in steps.items():
        # The shortest and the longest: TensorFlow traces once for any length.
        for rows in (batches[name][0], batches[name][-1], batches[name][0]):
            step(rows)
    total = dict.fromkeys(steps, 0.0)
    for index in range(min(map(len, batches.values()))):
        for name, step in steps.items():
            start = time.process_time()
            step(batches[name][index])
            total[name] += time.process_time() - start
    return total


def padding(split: Split, batches: Sequence[np.ndarray], length: int | None) -> float:
    """Padded steps over all steps."""
    lengths = split.lengths
    held = sum(len(rows) * (length or lengths[rows].max()) for rows in batches)
    return 1 - sum(lengths[rows].sum() for rows in batches) / held


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--batches", type=int, default=24, help="how many of the epoch's batches are measured")
    parser.add_argument("--data-dir", help="TFDS folder that holds imdb_reviews prepared")
    asked = parser.parse_args()
    recipe = dataclasses.replace(recipes.get_recipe("imdb"), data_dir=asked.data_dir)
    data = recipe.load_data()
    random, longest = np.random.default_rng(0), recipe.longest
    # An epoch's batches come shuffled: the first ones are a fair sample of it.
    epoch = pipelines.batch_rows(data.train, recipe.batch_size, random)
    buckets = [rows for rows in epoch if len(rows) == recipe.batch_size][: asked.batches]
    mixed = np.split(random.permutation(np.concatenate(buckets)), len(buckets))
    ways: dict[str, tuple[Any, list[np.ndarray], int | None]] = {
        "seqzoo, buckets": (functools.partial(keras_step, length=None), buckets, None),
        f"the same model, padded to {longest}": (functools.partial(keras_step, length=longest), mixed, longest),
        f"PyTorch, padded to {longest}": (functools.partial(torch_step, length=longest, packed=False), mixed, longest),
        "PyTorch, packed": (functools.partial(torch_step, length=None, packed=True), mixed, None),
        "PyTorch, buckets, packed": (functools.partial(torch_step, length=None, packed=True), buckets, None),
    }
    with training.numerics(recipe):
        steps = {name: make(recipe, data) for name, (make, _, _) in ways.items()}
        spent = seconds(steps, {name: batches for name, (_, batches, _) in ways.items()})
    ours, count = spent["seqzoo, buckets"], len(buckets) * recipe.batch_size
    whole = len(data.train) / count
    print(f"{count:,} of the epoch's {len(data.train):,} reviews, one thread")
    rows = [
        [name, f"{padding(data.train, *ways[name][1:]):.1%}", f"{time_ * whole:.0f}", f"{time_ / ours:.2f}"]
        for name, time_ in spent.items()
    ]
    print(table(["training", "padding", "an epoch, s", "times our buckets"], rows))


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    torch.set_num_threads(1)
    main()
