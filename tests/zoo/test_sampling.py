"""Draws against the distributions that they are said to come from."""

import keras
import numpy as np
import pytest

from tests.zoo.toy_step import END, Toy, row, starts
from zoo import decoding


def cut(chances: np.ndarray, temperature: float, top_k: int | None, top_p: float | None) -> np.ndarray:
    """What should be left of a distribution, from the definitions."""
    chances = chances ** (1 / temperature)
    order = np.argsort(-chances)
    order = order[:top_k]
    left = chances[order] / chances[order].sum()
    if top_p is not None:
        order = order[: int(np.searchsorted(np.cumsum(left), top_p)) + 1]
    allowed = np.zeros_like(chances)
    allowed[order] = chances[order]
    return allowed / allowed.sum()


CUTS = {
    "plain": (1.0, None, None),
    "warm": (2.0, None, None),
    "cold": (0.5, None, None),
    "top-k": (1.0, 3, None),
    "top-p": (1.0, None, 0.7),
    "all": (1.5, 5, 0.8),
    "k beyond": (1.0, 99, None),
    "one": (1.0, 1, None),
    "smallest p": (1.0, None, 1e-6),
}


@pytest.mark.parametrize("settings", CUTS.values(), ids=CUTS.keys())
def test_draws_follow_the_distribution_that_is_left(settings: tuple[float, int | None, float | None]) -> None:
    logits, draws = np.random.default_rng(5).normal(scale=1.5, size=8).astype("float32"), 20000

    def step(token_ids, states):
        return keras.ops.zeros_like(token_ids, dtype="float32")[:, None] + logits, states

    temperature, top_k, top_p = settings
    result = decoding.sample(
        step,
        np.ones(draws, "int32"),
        (),
        seed=3,
        max_length=1,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
    )
    counts = np.bincount(np.asarray(result.token_ids)[:, 0], minlength=8)
    chances = np.exp(logits.astype(np.float64))
    chances[0] = 0  # padding
    expected = draws * cut(chances / chances.sum(), *settings)
    assert (counts[expected == 0] == 0).all()
    kept = expected > 0
    # At most 7 degrees of freedom: beyond 29 with probability 1e-4.
    assert ((counts[kept] - expected[kept]) ** 2 / expected[kept]).sum() < 29


def test_cold_draws_are_greedy() -> None:
    toy, (first, states) = Toy(), starts(6)
    greedy = decoding.greedy(toy, first, states, max_length=8, end_id=END)
    for temperature in (0, 1e-3):
        cold = decoding.sample(toy, first, states, seed=1, max_length=8, end_id=END, temperature=temperature)
        np.testing.assert_array_equal(cold.token_ids, greedy.token_ids)
        np.testing.assert_allclose(cold.log_probabilities, greedy.log_probabilities, atol=1e-5)


def test_the_seed_decides_and_rows_are_drawn_apart() -> None:
    toy, (first, states) = Toy(scale=0.3), starts(1)
    many, state = np.repeat(first, 30), (np.repeat(states[0], 30, axis=0),)
    draw = {
        seed: np.asarray(decoding.sample(toy, many, state, seed=seed, max_length=12).token_ids) for seed in (0, 1, 2)
    }
    again = decoding.sample(toy, many, state, seed=1, max_length=12)
    np.testing.assert_array_equal(again.token_ids, draw[1])
    assert (draw[0] != draw[1]).any()
    assert len({tuple(tokens) for tokens in draw[0].tolist()}) == 30
    onward = decoding.sample(toy, many, state, seed=again.seed, max_length=12)
    assert (np.asarray(onward.token_ids) != draw[1]).any(axis=1).all()


def test_a_rows_own_seed_makes_its_draw_independent_of_the_others() -> None:
    toy, (first, states) = Toy(), starts(5)
    seeds = np.array([3, 1, 4, 1, 5], "int32")
    whole = decoding.sample(toy, first, states, seed=seeds, max_length=8, end_id=END)
    for i in range(5):
        alone = decoding.sample(
            toy, first[i : i + 1], (states[0][i : i + 1],), seed=seeds[i : i + 1], max_length=8, end_id=END
        )
        np.testing.assert_array_equal(alone.token_ids[0], whole.token_ids[i])


def test_scores_of_draws_are_the_models_own() -> None:
    toy, (first, states) = Toy(), starts(5)
    result = decoding.sample(toy, first, states, seed=0, max_length=8, end_id=END, temperature=2.0, top_k=2)
    for i in range(5):
        total = toy.score(states[0][i], first[i], row(result, i))
        assert np.asarray(result.log_probabilities)[i] == pytest.approx(total, abs=1e-4)


def test_each_row_has_a_temperature_of_its_own() -> None:
    toy, (first, states) = Toy(scale=0.5), starts(4)
    seeds, temperatures = np.array([5, 6, 7, 8], "int32"), np.array([0.3, 1.0, 4.0, 0.0], "float32")
    together = decoding.sample(toy, first, states, seed=seeds, temperature=temperatures, max_length=12)
    assert len({row(together, i) for i in range(4)}) == 4
    for i, temperature in enumerate(temperatures):
        one = decoding.sample(toy, first, states, seed=seeds, temperature=float(temperature), max_length=12)
        assert row(together, i) == row(one, i)
    below = decoding.sample(toy, first, states, seed=seeds, temperature=-temperatures, max_length=12)
    np.testing.assert_array_equal(below.token_ids, decoding.greedy(toy, first, states, max_length=12).token_ids)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"end_id": 0}, "end_id and padding are both 0"),
        ({"temperature": -1.0}, "temperature must be a number of at least 0, got -1.0"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_p": 1.5}, "top_p must be more than 0 and at most 1, got 1.5"),
    ],
)
def test_limits_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    first, states = starts(1)
    with pytest.raises(ValueError, match=message):
        decoding.sample(Toy(), first, states, **{"seed": 0, "max_length": 2, **options})
