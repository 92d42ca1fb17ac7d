"""What a recipe trains on and is judged by: arrays, sequences of different lengths, one long sequence."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray | None]
"""Inputs by name, targets, and the weight of each target where some are padding."""


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
    """Sequences of different lengths, one after the other in one array.

    Attributes:
        values: The steps of all sequences, (steps, ...).
        lengths: How many of them each sequence has, (sequences,).
        padding: What fills a batch up, on the right.
    """

    values: np.ndarray
    lengths: np.ndarray
    padding: float = 0

    @classmethod
    def of(cls, rows: Iterable[Any], *, dtype: str, padding: float = 0) -> "Ragged":
        """Joins sequences.

        Args:
            rows: One array or list a sequence, (length, ...); at least one of them.
            dtype: Of the values.
            padding: What fills a batch up.

        Returns:
            The sequences.
        """
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        return cls(np.concatenate(arrays), np.array([len(array) for array in arrays], "int64"), padding)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        start = self.starts[row]
        return self.values[start : start + self.lengths[row]]

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """Where in `values` each sequence begins."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """Makes a batch.

        Args:
            rows: Indices of the sequences.

        Returns:
            (batch, longest, ...), the shorter ones padded on the right.
        """
        steps = np.arange(max(1, self.lengths[rows].max(initial=1)))
        # (batch, longest): where each step stands in `values`; past the end any place will do
        places = np.minimum(self.starts[rows][:, None] + steps, len(self.values) - 1)
        batch = self.values[places]
        batch[steps >= self.lengths[rows][:, None]] = self.padding
        return batch

    def mask(self, rows: np.ndarray) -> np.ndarray:
        """Tells steps from padding.

        Args:
            rows: Indices of the sequences.

        Returns:
            (batch, longest) float32: 1 for a step, 0 for padding.
        """
        longest = max(1, self.lengths[rows].max(initial=1))
        return (np.arange(longest) < self.lengths[rows][:, None]).astype("float32")


Column = np.ndarray | Ragged


@dataclasses.dataclass(frozen=True)
class Split:
    """A part of the data: examples that stand each for itself.

    Attributes:
        inputs: Input name -> examples along the first axis.
        targets: What the outputs should be, one for each example, or one for each of its steps.
    """

    inputs: Mapping[str, Column]
    targets: Column

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> int:
        """How much it is, for people: its examples."""
        return len(self)

    @property
    def lengths(self) -> np.ndarray | None:
        """How many steps each example has, over all its sequences; None where all examples are of one size."""
        ragged = [column.lengths for column in (*self.inputs.values(), self.targets) if isinstance(column, Ragged)]
        return sum(ragged[1:], start=ragged[0]) if ragged else None

    def batch(self, rows: np.ndarray) -> Batch:
        """Puts examples side by side.

        Args:
            rows: Their indices.

        Returns:
            Inputs, targets and weights; sequences padded on the right to the longest of the batch.
        """
        inputs = {name: _take(column, rows) for name, column in self.inputs.items()}
        weights = self.targets.mask(rows) if isinstance(self.targets, Ragged) else None
        return inputs, _take(self.targets, rows), weights


@dataclasses.dataclass(frozen=True)
class Stream:
    """A part of the data that is one long sequence, such as a book: read in windows, with states carried over.

    A batch of B is B places in the sequence, equally far apart; each window goes on where the one before it ended
    (truncated backpropagation through time, Williams & Peng 1990, doi:10.1162/neco.1990.2.4.490).

    Attributes:
        inputs: Input name -> (steps, ...).
        targets: What the outputs should be, (steps, ...).
        window: How many steps gradients flow back.
    """

    inputs: Arrays
    targets: np.ndarray
    window: int

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> int:
        """How much it is, for people: its steps."""
        return len(self)

    def windows(self, rows: int) -> int:
        """Counts the windows of an epoch, the last one perhaps shorter.

        Args:
            rows: Places that are read side by side.
        """
        return -(-(len(self) // rows) // self.window)

    def batch(self, index: int, rows: int) -> Batch:
        """Cuts a window.

        Args:
            index: Which, from 0.
            rows: Places that are read side by side; the steps that are left over at the end are not read.

        Returns:
            Inputs (rows, window, ...), targets alike, no weights.
        """
        columns = len(self) // rows

        def cut(array: np.ndarray) -> np.ndarray:
            table = array[: rows * columns].reshape(rows, columns, *array.shape[1:])
            return table[:, index * self.window : (index + 1) * self.window]

        return {name: cut(array) for name, array in self.inputs.items()}, cut(self.targets), None


@dataclasses.dataclass(frozen=True)
class Data:
    """What a recipe trains on and is judged by.

    Attributes:
        train: Weights are fitted to this part.
        validation: Chooses the epoch whose weights are kept; a stream where the training part is one.
        test: Is looked at once, when everything is chosen.
        summary: One sentence on what it is and where it comes from.
        labels: The name of each class, in the order of the outputs; empty where there are no classes.
        preprocessing: What a user of the exported file must do to raw data, for the manifest.
        metadata: What else the manifest tells, such as the vocabulary, as `export_model` takes it.
        augment: Changes a batch of training inputs at random: (inputs, seed of two integers) -> inputs, as tensors.
    """

    train: Split | Stream
    validation: Split | Stream
    test: Split
    summary: str
    labels: tuple[str, ...] = ()
    preprocessing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    augment: Callable[[dict[str, Any], Any], dict[str, Any]] | None = None


def _take(column: Column, rows: np.ndarray) -> np.ndarray:
    return column.padded(rows) if isinstance(column, Ragged) else column[rows]
