"""Sequences on which memories are tried, made from a seed."""

import numpy as np

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


def copy(count: int, length: int, seed: int, bits: int) -> Made:
    """Patterns of bits, a sign that they have ended, silence: then they are to be said again (Graves et al. 2014).

    Args:
        count: How many sequences.
        length: How many patterns each has.
        seed: Of the randomness.
        bits: Size of a pattern.

    Returns:
        The bits and the sign, over 2 length + 1 steps; answers for the last `length` of them.
    """
    patterns = np.random.default_rng(seed).integers(0, 2, (count, length, bits)).astype("float32")
    read = np.zeros((count, 2 * length + 1, bits + 1), "float32")
    read[:, :length, :bits] = patterns
    read[:, length, bits] = 1
    return read, patterns


def parity(count: int, length: int, seed: int) -> Made:
    """Bits; the answer at each step is whether the number of ones so far is odd.

    Args:
        count: How many sequences.
        length: Steps of each.
        seed: Of the randomness.

    Returns:
        One bit for each step, and one answer.
    """
    bits = np.random.default_rng(seed).integers(0, 2, (count, length, 1))
    return bits.astype("float32"), (bits.cumsum(axis=1) % 2).astype("float32")


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
