"""Ways of writing a sequence against brute force, on a step function small enough to try every sequence."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.zoo.toy_step import END, WIDTH, Toy, row, starts
from zoo import decoding


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
