"""Beam search over any step function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from zoo.tokens import IMPOSSIBLE, check_limits, filled, log_probabilities


class Hypotheses(NamedTuple):
    """The best sequences that were found, the best first.

    Attributes:
        token_ids: (batch, n_best, max_length) int32, without the start token, with the end token; filled up with 0.
        lengths: (batch, n_best) int32, how many tokens each has, the end token included.
        log_probabilities: (batch, n_best) float32, the model's log p of each.
        scores: (batch, n_best) float32, what they are ranked by: log p over the length penalty. Where there are fewer
            sequences than n_best, the rest score -1e9 or less.
    """

    token_ids: Any
    lengths: Any
    log_probabilities: Any
    scores: Any


class Beams(NamedTuple):
    """What the loop carries; K beams for each of the batch's rows, those of one row side by side.

    Attributes:
        t: How many steps were taken.
        token: The last token, (batch K,).
        states: The step function's states, (batch K, ...).
        written: (batch, K, max_length).
        lengths: (batch, K).
        total: log p, (batch, K).
        scores: What the beams are ranked by, falling, (batch, K).
        ended: (batch, K).
    """

    t: Any
    token: Any
    states: Any
    written: Any
    lengths: Any
    total: Any
    scores: Any
    ended: Any


def beam_search(
    step: Callable[[Any, Any], tuple[Any, Any]],
    token_ids: Any,
    states: Any,
    *,
    beam_width: int,
    max_length: int,
    end_id: int | None = None,
    padding: int | None = 0,
    n_best: int = 1,
    length_penalty: float = 0.0,
    early_stop: bool = True,
    limits: Any = None,
) -> Hypotheses:
    """Keeps the best few beginnings at each step; ended ones compete on, and keep their place while they are best.

    Equation:
        score(y) = log p(y) / lp(y), lp(y) = ((5 + |y|) / 6)^length_penalty (Wu et al. 2016, equation 14)

    A sequence counts when it has ended, or reached its limit. With beam_width 1 this is greedy decoding; with a beam
    as wide as there are sequences, it is exhaustive search.

    Args:
        step: A step function, see `zoo.decoding`.
        token_ids: (batch,), the first token that each row reads.
        states: The states before it, the batch in front of each.
        beam_width: How many beginnings are kept.
        max_length: How many tokens to write at most.
        end_id: The token after which a sequence has ended; None: all are written to max_length.
        padding: A token that is never written, because it stands for padding; None: every token can be.
        n_best: How many sequences to return.
        length_penalty: 0 ranks by log p; more favours longer sequences.
        early_stop: Whether to end as soon as nothing that is unfinished can still reach the n best: this changes how
            long the search takes, not what it finds.
        limits: (batch,) int32, how many tokens each row gets at most, from 1 to max_length; None: max_length.

    Returns:
        The n best sequences of each row. arXiv:1609.08144.

    Raises:
        ValueError: A limit is out of range.
    """
    check_limits(max_length, end_id, padding)
    if not 1 <= n_best <= beam_width:
        raise ValueError(f"n_best must be from 1 to beam_width={beam_width}, got {n_best}")
    if length_penalty < 0:
        raise ValueError(f"length_penalty must be at least 0, got {length_penalty}")

    most = None if limits is None else ops.maximum(ops.expand_dims(ops.cast(limits, "int32"), 1), 1)

    def penalty(lengths: Any) -> Any:
        return ((5.0 + ops.cast(lengths, "float32")) / 6.0) ** length_penalty

    def unfinished(*carried: Any) -> Any:
        beams = Beams(*carried)
        settled = ops.all(beams.ended, axis=1)
        if early_stop:
            # log p only falls, and is divided by lp(max_length) at the most.
            bound = ops.where(beams.ended, ops.full_like(beams.total, -float("inf")), beams.total / penalty(max_length))
            reachable = ops.max(bound, axis=1) > beams.scores[:, n_best - 1]
            ended = ops.all(beams.ended[:, :n_best], axis=1)
            settled = ops.logical_or(settled, ops.logical_and(ended, ops.logical_not(reachable)))
        return ops.logical_and(beams.t < max_length, ops.logical_not(ops.all(settled)))

    def body(*carried: Any) -> tuple[Any, ...]:
        beams = _advance(step, Beams(*carried), beam_width, end_id, padding, penalty)
        if most is not None:
            beams = beams._replace(ended=ops.logical_or(beams.ended, beams.lengths >= most))
        return tuple(beams)

    beams = Beams(*ops.while_loop(unfinished, body, tuple(_first(token_ids, states, beam_width, max_length))))
    return Hypotheses(*(part[:, :n_best] for part in (beams.written, beams.lengths, beams.total, beams.scores)))


def _first(token_ids: Any, states: Any, width: int, max_length: int) -> Beams:
    token = ops.cast(token_ids, "int32")
    rows = ops.cumsum(ops.ones_like(token)) - 1
    beams = ops.arange(width, dtype="int32")[None]
    zeros = ops.zeros_like(token)[:, None] * beams
    source = ops.reshape(rows[:, None] + zeros, (-1,))
    # All beams of a row are the same beginning: only the first may be continued.
    total = ops.cast(zeros, "float32") + IMPOSSIBLE * ops.cast(beams > 0, "float32")
    return Beams(
        t=ops.zeros((), "int32"),
        token=ops.take(token, source, axis=0),
        states=_rows(states, source),
        written=zeros[:, :, None] * ops.arange(max_length, dtype="int32"),
        lengths=zeros,
        total=total,
        scores=total,
        ended=zeros > 0,
    )


def _advance(
    step: Callable[[Any, Any], tuple[Any, Any]],
    beams: Beams,
    width: int,
    end_id: int | None,
    padding: int | None,
    penalty: Callable[[Any], Any],
) -> Beams:
    logits, states = step(beams.token, beams.states)
    gains = log_probabilities(logits)
    size = gains.shape[-1]
    if padding is not None:
        gains = gains + IMPOSSIBLE * filled(gains, padding)
    # An ended beam has one continuation, itself: it writes the filling, 0, for nothing.
    ended = ops.reshape(beams.ended, (-1, 1))
    gains = ops.where(ended, IMPOSSIBLE * (1.0 - filled(gains, ops.zeros_like(beams.token))), gains)
    total = ops.reshape(beams.total, (-1, 1)) + gains
    lengths = beams.lengths + ops.cast(ops.logical_not(beams.ended), "int32")
    scores = total / ops.reshape(penalty(lengths), (-1, 1))

    # (batch K, vocabulary) -> (batch, K vocabulary) -> the best K of each row
    scores, chosen = ops.top_k(ops.reshape(scores, (-1, width * size)), width)
    chosen = ops.cast(chosen, "int32")
    row = ops.cumsum(ops.ones_like(chosen), axis=0) - 1
    parent = ops.reshape(row * width + ops.floor_divide(chosen, size), (-1,))
    token = ops.mod(chosen, size)
    place = ops.arange(beams.written.shape[-1], dtype="int32")
    written = ops.reshape(_rows(ops.reshape(beams.written, (-1, place.shape[0])), parent), (-1, width, place.shape[0]))
    ended = ops.reshape(_rows(ops.reshape(beams.ended, (-1,)), parent), (-1, width))
    return Beams(
        t=beams.t + 1,
        token=ops.reshape(token, (-1,)),
        states=_rows(states, parent),
        written=ops.where(place == beams.t, token[:, :, None], written),
        lengths=ops.reshape(_rows(ops.reshape(lengths, (-1,)), parent), (-1, width)),
        total=ops.reshape(
            ops.take(ops.reshape(total, (-1,)), parent * size + ops.reshape(token, (-1,)), axis=0), (-1, width)
        ),
        scores=scores,
        ended=ended if end_id is None else ops.logical_or(ended, token == end_id),
    )


def _rows(states: Any, rows: Any) -> Any:
    return keras.tree.map_structure(lambda state: ops.take(state, rows, axis=0), states)
