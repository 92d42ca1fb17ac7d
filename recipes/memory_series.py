"""Sequences on which memories are tried, made from a seed."""

import dataclasses

import numpy as np

from recipes.data import Batch, Ragged, Split

Made = tuple[np.ndarray, np.ndarray]
"""What is read, (count, time, features), and the answers, (count, answers, numbers), both float32."""


def adding(count: int, length: int, seed: int) -> Made:
    """Numbers of which two are marked; the answer, after the last, is their sum (Hochreiter & Schmidhuber 1997).

    Args:
        count: How many sequences.
        length: Steps of each, at least 2.
        seed: Of the randomness.

    Returns:
        A number in [0, 1] and a mark for each step; one mark stands in the first half, one in the second. One answer.
    """
    random = np.random.default_rng(seed)
    numbers, marks, rows = random.uniform(0, 1, (count, length)), np.zeros((count, length)), np.arange(count)
    marks[rows, random.integers(0, length // 2, count)] = 1
    marks[rows, random.integers(length // 2, length, count)] = 1
    sums = (numbers * marks).sum(axis=1)
    return np.stack([numbers, marks], axis=-1).astype("float32"), sums[:, None, None].astype("float32")


def copy(lengths: np.ndarray, seed: int, bits: int) -> "Asked":
    """Patterns of bits, a sign that they have ended, silence: then they are to be said again (Graves et al. 2014).

    Args:
        lengths: How many patterns each sequence has.
        seed: Of the randomness.
        bits: Size of a pattern.

    Returns:
        The bits and the sign, over 2 length + 1 steps, and what is to be said, of which the last `length` are asked.
    """
    random = np.random.default_rng(seed)
    read, said, asked = [], [], []
    for length in lengths:
        patterns, silence = random.integers(0, 2, (length, bits)), np.zeros((length + 1, bits))
        sign = np.arange(2 * length + 1) == length
        read.append(np.concatenate([np.concatenate([patterns, silence]), sign[:, None]], axis=1))
        said.append(np.concatenate([silence, patterns]))
        asked.append(np.arange(2 * length + 1) > length)
    return _asked(read, said, asked)


def parity(lengths: np.ndarray, seed: int) -> "Asked":
    """Bits; the answer at each step is whether the number of ones so far is odd.

    Args:
        lengths: Steps of each sequence.
        seed: Of the randomness.

    Returns:
        One bit for each step, and one answer, asked at each.
    """
    random = np.random.default_rng(seed)
    read = [random.integers(0, 2, (length, 1)) for length in lengths]
    return _asked(read, [bits.cumsum(axis=0) % 2 for bits in read], [np.ones(length) for length in lengths])


def waveform(length: int, seed: int) -> Made:
    """A wave that is to be drawn from memory, as in Koutnik et al. 2014 (arXiv:1402.3511, section 4.1).

    Args:
        length: Steps of the wave.
        seed: Of the phases and the strengths of the eight sines that it is the sum of.

    Returns:
        One sequence of which only the first step is not zero, and the wave, scaled to [-1, 1].
    """
    random = np.random.default_rng(seed)
    steps, octaves = np.arange(length)[:, None], np.arange(8)
    sines = np.sin(2 * np.pi * (2**octaves) * steps / length + random.uniform(0, 2 * np.pi, 8))
    wave = (sines * random.uniform(0.3, 1, 8) / (1 + octaves)).sum(axis=1)
    read = np.zeros((1, length, 1), "float32")
    read[:, 0] = 1
    return read, (wave / np.abs(wave).max()).astype("float32")[None, :, None]


@dataclasses.dataclass(frozen=True)
class Asked(Split):
    """Sequences of different lengths, of whose steps only some are asked for an answer: the others don't count.

    Attributes:
        asked: 1 for a step that is, 0 for one that is not, beside each step of the targets.
    """

    asked: Ragged

    def batch(self, rows: np.ndarray) -> Batch:
        """Puts examples side by side; what is not asked has no weight, as padding has none."""
        inputs, targets, _ = super().batch(rows)
        return inputs, targets, self.asked.padded(rows)

    def shares_right(self, said: np.ndarray) -> dict[str, float]:
        """Judges answers.

        Args:
            said: Which bits are said to be one, (steps, bits) of all sequences, one after the other.

        Returns:
            For each number of steps that are asked in a sequence the share of the sequences without a mistake and that
            of the bits: `sequence_accuracy_20`, `bit_accuracy_20` ...
        """
        asked, starts = self.asked.values > 0, self.asked.starts
        right = np.where(asked, (said == (self.targets.values > 0.5)).mean(axis=1), 1)
        counts = np.add.reduceat(asked.astype(int), starts)
        wrong = np.add.reduceat(1 - right, starts)
        shares = {}
        for count in np.unique(counts):
            own = wrong[counts == count]
            shares[f"sequence_accuracy_{count}"] = float((own == 0).mean())
            shares[f"bit_accuracy_{count}"] = float(1 - own.mean() / count)
        return shares


def _asked(read: list[np.ndarray], said: list[np.ndarray], asked: list[np.ndarray]) -> Asked:
    features, targets, weights = (Ragged.of(rows, dtype="float32") for rows in (read, said, asked))
    return Asked({"features": features}, targets, weights)
