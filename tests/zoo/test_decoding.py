"""Ways of writing a sequence against brute force, on a step function small enough to try every sequence."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from zoo import decoding

VOCABULARY, WIDTH, END = 4, 5, 3


class Toy:
    """A recurrent step function with random weights, in Keras for the decoder and in NumPy for the oracle."""

    def __init__(self, seed: int = 0, vocabulary: int = VOCABULARY, scale: float = 1.5) -> None:
        rng = np.random.default_rng(seed)
        self.table = rng.normal(size=(vocabulary, WIDTH)).astype("float32")
        self.inner = rng.normal(size=(WIDTH, WIDTH)).astype("float32")
        self.out = (scale * rng.normal(size=(WIDTH, vocabulary))).astype("float32")
        self.steps = 0

    def __call__(self, token_ids, states):
        self.steps += 1
        (h,) = states
        h = keras.ops.tanh(keras.ops.take(self.table, token_ids, axis=0) + keras.ops.matmul(h, self.inner))
        return keras.ops.matmul(h, self.out), (h,)

    def log_probabilities(self, h: np.ndarray, token: int) -> tuple[np.ndarray, np.ndarray]:
        h = np.tanh(self.table[token] + h @ self.inner)
        logits = (h @ self.out).astype(np.float64)
        return logits - np.logaddexp.reduce(logits), h

    def score(self, h: np.ndarray, first: int, tokens) -> float:
        total, token = 0.0, first
        for following in tokens:
            scores, h = self.log_probabilities(h, token)
            total, token = total + scores[following], following
        return total

    def sequences(self, max_length: int, padding: int | None = 0) -> list[tuple[int, ...]]:
        """Every sequence that ends, or is cut at max_length."""
        tokens = [token for token in range(self.table.shape[0]) if token != padding]
        return [
            sequence
            for length in range(1, max_length + 1)
            for sequence in itertools.product(tokens, repeat=length)
            if END not in sequence[:-1] and (sequence[-1] == END or length == max_length)
        ]


def starts(batch: int, seed: int = 1) -> tuple[np.ndarray, tuple[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, VOCABULARY - 1, batch).astype("int32"), (rng.normal(size=(batch, WIDTH)).astype("float32"),)


def row(result, i: int) -> tuple[int, ...]:
    return tuple(np.asarray(result.token_ids)[i, : np.asarray(result.lengths)[i]].tolist())


def length_penalty(length: int, alpha: float) -> float:
    return ((5 + length) / 6) ** alpha


@pytest.mark.parametrize("padding", [0, None])
def test_greedy_takes_the_likeliest_token_at_each_step(padding: int | None) -> None:
    toy, (first, states) = Toy(6), starts(6)
    result = decoding.greedy(toy, first, states, max_length=7, end_id=END, padding=padding)
    for i in range(6):
        h, token, expected, total = states[0][i], first[i], [], 0.0
        while len(expected) < 7 and END not in expected:
            scores, h = toy.log_probabilities(h, token)
            token = int(np.argmax(scores if padding is None else scores[1:])) + (padding is not None)
            expected.append(token)
            total += scores[token]
        assert row(result, i) == tuple(expected)
        assert np.asarray(result.log_probabilities)[i] == pytest.approx(total, abs=1e-4)
        assert (np.asarray(result.token_ids)[i, len(expected) :] == 0).all()
    assert len(set(np.asarray(result.lengths).tolist())) > 1


def test_the_loop_ends_when_every_row_has_ended() -> None:
    toy, (first, states) = Toy(scale=0.3), starts(6)
    result = decoding.sample(toy, first, states, seed=1, max_length=200, end_id=END)
    assert toy.steps == max(np.asarray(result.lengths)) < 50
    endless = decoding.greedy(toy, first, states, max_length=9)
    assert np.asarray(endless.lengths).tolist() == [9] * 6


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy(seed: int, alpha: float) -> None:
    toy, (first, states) = Toy(seed), starts(6, seed)
    greedy = decoding.greedy(toy, first, states, max_length=8, end_id=END)
    beam = decoding.beam_search(toy, first, states, beam_width=1, max_length=8, end_id=END, length_penalty=alpha)
    np.testing.assert_array_equal(beam.token_ids[:, 0], greedy.token_ids)
    np.testing.assert_array_equal(beam.lengths[:, 0], greedy.lengths)
    np.testing.assert_allclose(beam.log_probabilities[:, 0], greedy.log_probabilities, atol=1e-5)


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("padding", [0, None])
def test_a_beam_as_wide_as_there_are_sequences_is_exhaustive(
    padding: int | None, alpha: float, early_stop: bool
) -> None:
    toy, (first, states) = Toy(2), starts(3)
    every = toy.sequences(4, padding)
    result = decoding.beam_search(
        toy,
        first,
        states,
        beam_width=len(every),
        n_best=5,
        max_length=4,
        end_id=END,
        padding=padding,
        length_penalty=alpha,
        early_stop=early_stop,
    )
    for i in range(3):
        scored = {s: toy.score(states[0][i], first[i], s) / length_penalty(len(s), alpha) for s in every}
        expected = sorted(scored, key=scored.__getitem__, reverse=True)[:5]
        got = [
            tuple(np.asarray(tokens)[:length].tolist())
            for tokens, length in zip(result.token_ids[i], np.asarray(result.lengths)[i], strict=True)
        ]
        assert got == expected
        np.testing.assert_allclose(result.scores[i], [scored[s] for s in expected], atol=1e-4)


def test_stopping_early_finds_the_same_sooner() -> None:
    kept, stopped, (first, states) = Toy(3), Toy(3), starts(5)
    options = {"beam_width": 3, "max_length": 30, "end_id": END, "length_penalty": 0.6}
    slow = decoding.beam_search(kept, first, states, early_stop=False, **options)
    fast = decoding.beam_search(stopped, first, states, early_stop=True, **options)
    np.testing.assert_array_equal(slow.token_ids, fast.token_ids)
    assert stopped.steps < kept.steps


def test_scores_of_the_n_best_are_the_models_own() -> None:
    toy, (first, states) = Toy(4), starts(4)
    result = decoding.beam_search(
        toy, first, states, beam_width=6, n_best=6, max_length=9, end_id=END, length_penalty=0.8
    )
    scores = np.asarray(result.scores)
    assert (np.diff(scores, axis=1) <= 0).all()
    for i, j in itertools.product(range(4), range(6)):
        tokens = np.asarray(result.token_ids)[i, j, : np.asarray(result.lengths)[i, j]]
        total = toy.score(states[0][i], first[i], tokens)
        assert np.asarray(result.log_probabilities)[i, j] == pytest.approx(total, abs=1e-4)
        assert scores[i, j] == pytest.approx(total / length_penalty(len(tokens), 0.8), abs=1e-4)
    sequences = {tuple(tokens) for tokens in np.asarray(result.token_ids)[0].tolist()}
    assert len(sequences) == 6


def test_where_there_are_fewer_sequences_the_rest_is_impossible() -> None:
    toy, (first, states) = Toy(), starts(2)
    result = decoding.beam_search(toy, first, states, beam_width=5, n_best=5, max_length=1, end_id=END)
    assert (np.asarray(result.scores)[:, :3] > -100).all()
    assert (np.asarray(result.scores)[:, 3:] < -1e8).all()


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


@pytest.mark.parametrize(
    "prompts", [[[1, 2, 1], [2, 0, 0], [1, 1, 0]], [[1, 2, 1], [0, 0, 2], [0, 1, 1]]], ids=["right", "left"]
)
def test_a_prompt_is_read_whatever_its_padding(prompts: list[list[int]]) -> None:
    toy, (_, states) = Toy(), starts(3)
    last, primed = decoding.prime(toy, np.array(prompts, "int32"), states)
    for i, prompt in enumerate(prompts):
        tokens = [token for token in prompt if token]
        h = states[0][i]
        for token in tokens[:-1]:
            _, h = toy.log_probabilities(h, token)
        assert int(np.asarray(last)[i]) == tokens[-1]
        np.testing.assert_allclose(np.asarray(primed[0])[i], h, atol=1e-6)


WAYS = {
    "greedy": lambda toy, first, states: decoding.greedy(toy, first, states, max_length=8, end_id=END),
    "sample": lambda toy, first, states: decoding.sample(
        toy, first, states, seed=2, max_length=8, end_id=END, temperature=1.3, top_k=3, top_p=0.9
    ),
    "beam": lambda toy, first, states: decoding.beam_search(
        toy, first, states, beam_width=3, n_best=2, max_length=8, end_id=END, length_penalty=0.6
    ),
}


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "compiled"])
@pytest.mark.parametrize("way", WAYS)
def test_a_graph_writes_what_eager_execution_writes(way: str, jit: bool) -> None:
    toy, (first, states) = Toy(), starts(5)
    eager = WAYS[way](toy, first, states)
    shapes = [tf.TensorSpec([None], "int32"), (tf.TensorSpec([None, WIDTH], "float32"),)]
    graph = tf.function(lambda f, s: WAYS[way](toy, f, s), jit_compile=jit, input_signature=None if jit else shapes)
    traced = graph(tf.constant(first), (tf.constant(states[0]),))
    for got, wanted in zip(traced, eager, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


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


def test_beams_out_of_range_are_refused() -> None:
    first, states = starts(1)
    with pytest.raises(ValueError, match="n_best must be from 1 to beam_width=2, got 3"):
        decoding.beam_search(Toy(), first, states, beam_width=2, n_best=3, max_length=2)
    with pytest.raises(ValueError, match="length_penalty must be at least 0, got -1"):
        decoding.beam_search(Toy(), first, states, beam_width=2, length_penalty=-1, max_length=2)


def test_the_oracle_is_a_plain_recurrent_network() -> None:
    toy, (first, states) = Toy(), starts(1)
    h = reference.simple_rnn_step(toy.table[first], states, np.eye(WIDTH), toy.inner, np.zeros(WIDTH))[0]
    logits, _ = toy(first, states)
    np.testing.assert_allclose(logits, h @ toy.out, atol=1e-5)


LIMITED = {
    "greedy": decoding.greedy,
    "beam": lambda *a, **o: decoding.beam_search(*a, beam_width=3, length_penalty=0.6, **o),
    "sample": lambda *a, **o: decoding.sample(*a, seed=np.array([4, 4, 4], "int32"), **o),
}


@pytest.mark.parametrize("way", LIMITED)
def test_each_row_has_a_limit_of_its_own(way: str) -> None:
    toy, (first, states) = Toy(2, scale=0.5), starts(3)
    limits = np.array([1, 3, 40], "int32")
    together = LIMITED[way](toy, first, states, max_length=6, limits=limits)
    for i, limit in enumerate(np.minimum(limits, 6)):
        one = LIMITED[way](toy, first, states, max_length=int(limit))
        written = np.reshape(np.asarray(together.token_ids)[i], (-1,))
        np.testing.assert_array_equal(written[:limit], np.reshape(np.asarray(one.token_ids)[i], (-1,)))
        np.testing.assert_array_equal(written[limit:], 0)
        assert np.reshape(np.asarray(together.lengths)[i], ()) == limit
        np.testing.assert_allclose(together.log_probabilities[i], one.log_probabilities[i], atol=1e-5)


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
