"""The random numbers of decoding: even, independent along every axis, and the same as integers in NumPy give."""

import itertools

import numpy as np
import pytest

from zoo.randomness import derive, uniform

COUNT = 1 << 16
ALONG = {
    "places": (np.full(COUNT, 5), np.arange(COUNT)),
    "places of another seed": (np.full(COUNT, 6), np.arange(COUNT)),
    "places of seed 0": (np.zeros(COUNT, int), np.arange(COUNT)),
    "seeds": (np.arange(COUNT), 3),
    "great seeds": (2**31 - 1 - np.arange(COUNT), 3),
}
# Chi-square with 255 degrees of freedom: mean 255, deviation 22.6; 360 is beyond 4.6 deviations.
BINS, LIMIT = 16, 360


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def drawn(along: str) -> np.ndarray:
    return np.asarray(uniform(*ALONG[along]))


@pytest.mark.parametrize("along", ALONG)
def test_numbers_are_even_and_pairs_are_too(along: str) -> None:
    x = drawn(along)
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() < 1
    assert chi_square(np.bincount((x * 256).astype(int), minlength=256)) < LIMIT
    for lag in (1, 2, 7):
        assert chi_square(np.histogram2d(x[:-lag], x[lag:], BINS, ((0, 1), (0, 1)))[0]) < LIMIT


def test_sequences_are_independent_of_each_other() -> None:
    names = list(ALONG)
    for first, second in itertools.pairwise(names):
        counts = np.histogram2d(drawn(first), drawn(second), BINS, ((0, 1), (0, 1)))[0]
        assert chi_square(counts) < LIMIT


def test_derived_seeds_differ() -> None:
    seeds = np.asarray(derive(7, np.arange(COUNT)))
    assert seeds.dtype == np.int32
    assert seeds.min() >= 0
    # A permutation of 32 bits of which one is dropped: as many doubles as chance makes, one or so.
    assert len(set(seeds.tolist())) > COUNT - 10


def test_whole_numbers_never_overflow() -> None:
    """The same network in Python's unbounded integers: had int32 wrapped anywhere, the two would differ."""

    def by_hand(seed: int, place: int) -> float:
        half = 1 << 16
        keys, high, low = (seed // half % half, seed % half), place // half % half, place % half
        for turn in range(8):
            x = (low + keys[turn % 2] + 40503 * (turn + 1) % half) % half
            product = (x % 32768) * ((x * 5 + keys[(turn + 1) % 2]) % half)
            high, low = low, (high + product + product // 256) % half
        return (high * 256 + low // 256) / 2**24

    rng = np.random.default_rng(0)
    seeds, places = rng.integers(0, 2**31, 500), rng.integers(0, 2**31, 500)
    expected = [by_hand(int(seed), int(place)) for seed, place in zip(seeds, places, strict=True)]
    np.testing.assert_array_equal(uniform(seeds, places), np.float32(expected))
