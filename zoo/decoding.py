"""Writes sequences with any step function: greedy, sampling, beam search; inside of a graph or out of it.

A step function takes the last token of each row and the states, and gives the scores of the next token and the states:

    step(token_ids (batch,), states) -> (logits (batch, vocabulary), states)

States are any nest of tensors with the batch in front. `Stepper` makes a step function of a model; any other callable
serves as well. Everything here is a pure function with static shapes: what comes in decides what goes out, so a
decoder can be traced, compiled and exported with its model, and ends as soon as every row has ended.

    step = decoding.Stepper(model)                                # a trained encoder-decoder
    states = step.start({"encoder_token_ids": source})
    written = decoding.greedy(step, start_tokens, states, max_length=50, end_id=2)
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from zoo.beam_search import Hypotheses, beam_search
from zoo.randomness import derive, uniform
from zoo.stepping import States, Stepper
from zoo.tokens import IMPOSSIBLE, check_limits, filled, log_probabilities

__all__ = ["Decoded", "Hypotheses", "Sampled", "Step", "Stepper", "beam_search", "greedy", "prime", "sample"]

Step = Callable[[Any, States], tuple[Any, States]]
"""(token_ids (batch,), states) -> (logits (batch, vocabulary), states)."""


class Decoded(NamedTuple):
    """What was written.

    Attributes:
        token_ids: (batch, max_length) int32, without the start token, with the end token; filled up with 0.
        lengths: (batch,) int32, how many tokens each row has, the end token included.
        log_probabilities: (batch,) float32, the model's log p of each row.
    """

    token_ids: Any
    lengths: Any
    log_probabilities: Any


class Sampled(NamedTuple):
    """What was drawn.

    Attributes:
        token_ids: (batch, max_length) int32, without the start token, with the end token; filled up with 0.
        lengths: (batch,) int32, how many tokens each row has, the end token included.
        log_probabilities: (batch,) float32, the log p of each row under the model itself, not as tempered or cut.
        seed: (batch,) int32, the seeds to go on with.
    """

    token_ids: Any
    lengths: Any
    log_probabilities: Any
    seed: Any


def greedy(
    step: Step,
    token_ids: Any,
    states: States,
    *,
    max_length: int,
    end_id: int | None = None,
    padding: int | None = 0,
    limits: Any = None,
) -> Decoded:
    """Writes the likeliest token at each step.

    Args:
        step: A step function.
        token_ids: (batch,), the first token that each row reads, such as a start token.
        states: The states before it.
        max_length: How many tokens to write at most.
        end_id: The token after which a row has ended; None: every row is written to max_length.
        padding: A token that is never written, because it stands for padding; None: every token can be.
        limits: (batch,) int32, how many tokens each row gets at most, from 1 to max_length; None: max_length.

    Returns:
        What was written.

    Raises:
        ValueError: max_length is less than 1, or the end is the padding.
    """
    check_limits(max_length, end_id, padding)
    return _write(step, token_ids, states, _likeliest, max_length, end_id, padding, limits)


def sample(
    step: Step,
    token_ids: Any,
    states: States,
    *,
    seed: Any,
    max_length: int,
    end_id: int | None = None,
    padding: int | None = 0,
    temperature: Any = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    limits: Any = None,
) -> Sampled:
    """Draws each token from the model's distribution, perhaps sharpened or cut.

    First the temperature is applied, then all but the k likeliest tokens are cut, then, of what is left, all that do
    not belong to the smallest set of likeliest tokens with probability p or more (Holtzman et al. 2020,
    arXiv:1904.09751).

    Args:
        step: A step function.
        token_ids: (batch,), the first token that each row reads.
        states: The states before it.
        seed: int32, a scalar or (batch,): with one seed for each row, what a row draws depends on no other row.
        max_length: How many tokens to write at most.
        end_id: The token after which a row has ended; None: every row is written to max_length.
        padding: A token that is never written, because it stands for padding; None: every token can be.
        temperature: Divides the logits; towards 0 the likeliest token takes all, and 0 is greedy. A number, or a tensor
            (batch,) with one for each row, of which those below 0 count as 0.
        top_k: How many of the likeliest tokens can be drawn; None: all.
        top_p: How much probability the tokens hold that can be drawn; None: all.
        limits: (batch,) int32, how many tokens each row gets at most, from 1 to max_length; None: max_length.

    Returns:
        What was drawn, and the seeds for the next draw.

    Raises:
        ValueError: A limit is out of range.
    """
    check_limits(max_length, end_id, padding)
    _check_cut(temperature, top_k, top_p)
    seed = ops.cast(ops.convert_to_tensor(seed), "int32")
    if len(seed.shape) == 0:
        seed = derive(seed, ops.cumsum(ops.ones_like(ops.cast(token_ids, "int32"))))
    choose = _drawing(seed, temperature, top_k, top_p)
    written = _write(step, token_ids, states, choose, max_length, end_id, padding, limits)
    return Sampled(*written, derive(seed, max_length))


def prime(step: Step, token_ids: Any, states: States, *, padding: int | None = 0) -> tuple[Any, States]:
    """Reads a prompt.

    Args:
        step: A step function.
        token_ids: (batch, time), the prompts, padded on either side.
        states: The states before the prompt.
        padding: The token that stands for padding; None: every token counts.

    Returns:
        The last token of each prompt (batch,), not read yet, and the states before it: what `greedy`, `sample` and
        `beam_search` start from.
    """
    token_ids = ops.cast(token_ids, "int32")
    valid = ops.ones_like(token_ids, dtype="bool") if padding is None else ops.not_equal(token_ids, padding)
    places = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1
    last = ops.max(ops.where(valid, places, 0), axis=1, keepdims=True)
    # -1 where there is nothing to read: the loop asks for one number a row and step.
    unread = ops.where(ops.logical_and(valid, places < last), token_ids, -1)

    def read(t: Any, states: States) -> tuple[Any, States]:
        token = ops.sum(ops.where(places == t, unread, 0), axis=1)  # unread[:, t], without an op whose index is static
        _, after = step(ops.maximum(token, 0), states)
        return t + 1, keras.tree.map_structure(lambda new, old: where_row(token >= 0, new, old), after, states)

    steps = ops.max(last)
    _, states = ops.while_loop(lambda t, _: t < steps, read, (ops.zeros_like(steps), states))
    return ops.sum(ops.where(places == last, token_ids, 0), axis=1), states


def where_row(condition: Any, new: Any, old: Any) -> Any:
    """Chooses row by row.

    Args:
        condition: (batch,) bool.
        new: (batch, ...), taken where the condition holds.
        old: The same shape.

    Returns:
        The same shape.
    """
    return ops.where(ops.reshape(condition, (-1, *[1] * (len(old.shape) - 1))), new, old)


# (scores (batch, vocabulary) without padding, scores, t) -> (the next token, its log p), both (batch, 1)
_Choose = Callable[[Any, Any, Any], tuple[Any, Any]]


def _write(
    step: Step,
    token_ids: Any,
    states: States,
    choose: _Choose,
    max_length: int,
    end_id: int | None,
    padding: int | None,
    limits: Any,
) -> Decoded:
    """The loop that greedy decoding and sampling share.

    Run token by token at batch 1, each op costs as much as a gate of the model: a row that has ended writes on, and
    what it wrote too much is taken away after the loop. Its length alone tells whether a row has ended.
    """
    token = ops.cast(token_ids, "int32")
    zeros = ops.zeros_like(ops.expand_dims(token, 1))
    places = ops.expand_dims(ops.arange(max_length, dtype="int32"), 0)
    lengths = zeros + max_length
    if limits is not None:
        lengths = ops.clip(ops.expand_dims(ops.cast(limits, "int32"), 1), 1, max_length)

    def body(t: Any, token: Any, states: States, written: Any, lengths: Any, total: Any) -> tuple[Any, ...]:
        logits, states = step(token, states)
        scores = log_probabilities(logits)
        allowed = scores if padding is None else scores + IMPOSSIBLE * filled(scores, padding)
        token, gain = choose(allowed, scores, t)
        written = ops.where(places == t, token, written)
        total = total + ops.where(lengths > t, gain, 0.0)
        if end_id is not None:
            lengths = ops.minimum(lengths, ops.where(token == end_id, t + 1, max_length))
        return t + 1, ops.reshape(token, (-1,)), states, written, lengths, total

    def unfinished(t: Any, *others: Any) -> Any:
        return t < ops.max(others[-2])

    first = (ops.zeros((), "int32"), token, states, zeros * places, lengths, ops.cast(zeros, "float32"))
    _, _, _, written, lengths, total = ops.while_loop(unfinished, body, first)
    return Decoded(ops.where(places < lengths, written, 0), *(ops.squeeze(each, 1) for each in (lengths, total)))


def _likeliest(allowed: Any, scores: Any, t: Any) -> tuple[Any, Any]:
    gain, token = ops.top_k(allowed, 1)
    return ops.cast(token, "int32"), gain


def _drawing(seed: Any, temperature: Any, top_k: int | None, top_p: float | None) -> _Choose:
    fixed = isinstance(temperature, (int, float))
    if fixed and temperature == 0:
        return _likeliest
    divisor = temperature
    if not fixed:
        rows = ops.expand_dims(ops.cast(temperature, "float32"), 1)
        divisor = ops.where(rows > 0, rows, 1.0)

    def draw(allowed: Any, scores: Any, t: Any) -> tuple[Any, Any]:
        token = ops.expand_dims(draw_token(allowed / divisor, uniform(seed, t), top_k, top_p), 1)
        if not fixed:
            token = ops.where(rows > 0, token, _likeliest(allowed, scores, t)[0])
        chosen = filled(scores, ops.squeeze(token, 1)) > 0
        return token, ops.sum(ops.where(chosen, scores, 0.0), axis=-1, keepdims=True)

    return draw


def draw_token(logits: Any, chance: Any, top_k: int | None = None, top_p: float | None = None) -> Any:
    """Draws one token a row, by inverting the distribution function.

    Args:
        logits: (batch, vocabulary).
        chance: (batch,), random numbers in [0, 1).
        top_k: How many of the likeliest tokens can be drawn; None: all.
        top_p: How much probability the tokens hold that can be drawn; None: all.

    Returns:
        (batch,) int32.
    """
    size = logits.shape[-1]
    ids = None
    if top_k is not None or top_p is not None:
        logits, ids = ops.top_k(logits, min(top_k or size, size))
    chances = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
    if top_p is not None:
        # A token stays if those before it do not reach p yet.
        before = ops.cumsum(chances, axis=-1) - chances
        enough = top_p * ops.sum(chances, axis=-1, keepdims=True)
        chances = ops.where(before < enough, chances, ops.zeros_like(chances))
    reached = ops.cumsum(chances, axis=-1)
    # Tokens that were cut have no width: "<=" steps over them. Rounding may leave the last one open: hence the minimum.
    rank = ops.sum(ops.cast(reached <= chance[:, None] * reached[:, -1:], "int32"), axis=-1)
    place = ops.cumsum(ops.ones_like(chances, dtype="int32"), axis=-1) - 1
    last = ops.max(ops.where(chances > 0, place, ops.zeros_like(place)), axis=-1)
    rank = ops.minimum(rank, last)
    return rank if ids is None else ops.sum(ops.cast(ids, "int32") * ops.cast(place == rank[:, None], "int32"), axis=-1)


def _check_cut(temperature: Any, top_k: int | None, top_p: float | None) -> None:
    if isinstance(temperature, (int, float)) and not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must be a number of at least 0, got {temperature!r}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k!r}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be more than 0 and at most 1, got {top_p!r}")
