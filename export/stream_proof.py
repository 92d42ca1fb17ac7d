"""The proof that chunk by chunk equals the whole sequence; where it does not, which layer is to blame, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from export.cases import make_cases, padding_of
from export.domains import input_domains
from export.formats import FORMATS
from export.inference import inference_form
from export.reference import Reference
from export.stream_layers import run_chunk
from export.stream_scope import NotCausalError, Scope, Timing, refuse

if TYPE_CHECKING:
    from export.streaming import Plan, StreamingModel

_TOLERANCE = FORMATS["saved_model"].tolerance["float32"]
_SHORTEST, _LONGEST = 12, 600  # hops: all of a model's memory should be in use, and the proof should take seconds
_BATCH = 2
# Where masked steps begin, and how many they are, as shares of a sequence.
_MASKED = {0.0: 1 / 12, 5 / 12: 1 / 3, 11 / 12: 1 / 12}
_MOST_MASKED = 40
Recorded = list[tuple[Any, list[np.ndarray], list[Timing | None]]]


def prove(model: keras.Model, plan: Plan, step: StreamingModel) -> None:
    """Compares the step model, in odd chunks, with the whole sequence.

    Raises:
        NotCausalError: They differ; names the first layer whose outputs do.
    """
    inputs, hops = proof_inputs(plan)
    expected = list(Reference(model, plan.traced.signature)({p.name: x for p, x in inputs.items()}).values())
    got = run_in_chunks(plan, step, list(inputs.values()), odd_chunks(hops))
    for index, (y, chunked) in enumerate(zip(expected, got, strict=True)):
        if not _same(y, chunked, plan.rates[index], plan.warmup[index]):
            raise _blame(model, plan, list(inputs.values()), hops)


def proof_inputs(
    plan: Plan, *, batch: int = _BATCH, seed: int = 0, least: int = 0
) -> tuple[dict[Any, np.ndarray], int]:
    """-> (random inputs of at least so many steps, by port; how many hops they have)."""
    traced, ports = plan.traced, plan.traced.signature.inputs
    memory = sum(spec.shape[0] for spec in plan.specs if len(spec.shape) > 1 or spec.name.endswith("past"))
    hops = max(min(max(_SHORTEST, 2 * memory // plan.hop), _LONGEST), least // plan.hop)
    lengths = [p.shape[1] for p, stream in zip(ports, plan.streams, strict=True) if stream and p.shape[1] is not None]
    if lengths:
        hops = min(lengths) // plan.hop
    steps = min(lengths) if lengths else hops * plan.hop
    domains = input_domains(traced.function, traced.arguments)
    name = f"batch {batch}, time {steps}"
    cases = make_cases(ports, domains, batch=(batch,), time=(steps,), seed=seed)
    arrays = next(case.inputs for case in cases if case.name == name)
    for port, stream in zip(ports, plan.streams, strict=True):
        padding = padding_of(port, domains)
        if stream and padding is not None:
            arrays[port.name][:, _masked(steps)] = padding
    return {port: arrays[port.name] for port in ports}, hops


def _masked(steps: int) -> np.ndarray:
    """(steps,) bool: which steps are masked: some at the beginning, in the middle, and at the end of all but a few.

    Many in a row, so that chunks begin in them; few of a long stream, so that it still shows what adds up.
    """
    masked = np.zeros(steps, bool)
    if steps >= 2 * len(_MASKED):
        for place, share in _MASKED.items():
            start = int(place * steps)
            masked[start : start + max(1, min(int(share * steps), _MOST_MASKED))] = True
    return masked


def odd_chunks(hops: int) -> list[int]:
    """Chunk sizes, in hops, that add up to `hops`: single ones, odd ones, and a long one."""
    sizes: list[int] = []
    for size in (1, 1, 3, 2, max(1, (hops - 7) // 2), hops):
        left = hops - sum(sizes)
        if left:
            sizes.append(min(size, left))
    return sizes


def run_in_chunks(plan: Plan, step: Any, inputs: Sequence[np.ndarray], sizes: Sequence[int]) -> list[np.ndarray]:
    """The step model's outputs over chunks of so many hops, put together."""
    batch = inputs[0].shape[0]
    states, parts, at = step.initial_states(batch), [], 0
    with inference_form(step):
        for size in sizes:
            chunk = _cut(plan, inputs, at, size)
            outputs, states = step(_pack(plan, chunk), states)
            parts.append([np.asarray(y) for y in keras.tree.flatten(outputs)])
            at += size
    return [join(part, rate) for part, rate in zip(zip(*parts, strict=True), plan.rates, strict=True)]


def join(parts: Sequence[np.ndarray], rate: int | None) -> np.ndarray:
    """One output's chunks, put together; of an output without time axis, the last."""
    return parts[-1] if rate is None else np.concatenate(parts, axis=1)


def _cut(plan: Plan, inputs: Sequence[np.ndarray], at: int, size: int) -> list[tf.Tensor]:
    window = slice(at * plan.hop, (at + size) * plan.hop)
    return [tf.constant(x[:, window] if s else x) for x, s in zip(inputs, plan.streams, strict=True)]


def _pack(plan: Plan, flat: list[tf.Tensor]) -> Any:
    return flat[0] if len(flat) == 1 else flat


def _same(whole: np.ndarray, chunked: np.ndarray, rate: int | None, warmup: int) -> bool:
    if rate is not None:
        chunked = chunked[:, warmup:]
        steps = min(whole.shape[1], chunked.shape[1])
        whole, chunked = whole[:, :steps], chunked[:, :steps]
    if whole.shape != chunked.shape or (rate is not None and not whole.shape[1]):
        return False
    if whole.dtype.kind != "f":
        return bool(np.array_equal(whole, chunked))
    limit = _TOLERANCE.atol + _TOLERANCE.rtol * np.abs(whole).max(initial=0.0)
    return bool(np.allclose(whole, chunked, rtol=0.0, atol=limit, equal_nan=True))


def _blame(model: keras.Model, plan: Plan, inputs: list[np.ndarray], hops: int) -> NotCausalError:
    """Finds the first layer or op whose outputs differ though its inputs did not."""
    whole = _recorded(model, plan, inputs, [hops], passive=True)[0]
    later = [_with_another_end(x) if stream else x for x, stream in zip(inputs, plan.streams, strict=True)]
    changed = _recorded(model, plan, later, [hops], passive=True)[0]
    chunks = _recorded(model, plan, inputs, odd_chunks(hops), passive=False)
    for index, (op, outputs, _) in enumerate(whole):
        if any(len(chunk) <= index or not _is_same_call(op, chunk[index][0]) for chunk in chunks):
            break
        for place, y in enumerate(outputs):
            parts = [chunk[index][1][place] for chunk in chunks]
            timing = chunks[0][index][2][place]
            grows = y.ndim > 1 and len({part.shape[1] for part in parts}) > 1
            joined = join(parts, 1 if grows else None)
            if grows and timing is not None and timing.period > 1:
                joined = _kept(joined, timing)
            if not _same(y, joined, 1 if grows else None, max(0, timing.warmup) if timing else 0):
                return refuse(op, _reason(y, changed[index][1][place], grows), unknown=grows)
    return refuse(model, "an operation in its call mixes the steps of the sequence")


def _kept(held: np.ndarray, timing: Timing) -> np.ndarray:
    """Of a sequence that holds still between its ticks, the ticks behind the warm-up, and room for one."""
    return np.concatenate([held[:, : timing.warmup], held[:, timing.warmup :: timing.period]], axis=1)


def _is_same_call(op: Any, other: Any) -> bool:
    """keras.ops makes an operation anew for each call of it."""
    return op is other or (not isinstance(op, keras.layers.Layer) and type(op) is type(other))


def _with_another_end(x: np.ndarray) -> np.ndarray:
    half = x.shape[1] // 2
    end = x[:, half:] * 1.5 + 0.5 if x.dtype.kind == "f" else x[:, half:][:, ::-1]
    return np.concatenate([x[:, :half], end.astype(x.dtype)], axis=1)


def _reason(whole: np.ndarray, changed: np.ndarray, grows: bool) -> str:
    if not grows:
        return "it needs the whole sequence at once; use the last state"
    early = whole.shape[1] // 4
    if not np.allclose(whole[:, :early], changed[:, :early], atol=1e-5, equal_nan=True):
        return "its output at one step depends on later steps"
    return (
        "it remembers earlier steps in a way of its own; "
        "give it an attribute time_window, or methods stream_state and stream_call"
    )


def _recorded(
    model: keras.Model, plan: Plan, inputs: Sequence[np.ndarray], sizes: Sequence[int], *, passive: bool
) -> list[Recorded]:
    """What each layer and op gave, for each chunk; passive: as Keras runs them."""
    states: dict[str, Any] = {
        spec.name: tf.constant(np.repeat(spec.initial[None], inputs[0].shape[0], axis=0)) for spec in plan.specs
    }
    calls, at = [], 0
    for size in sizes:
        recorded: Recorded = []
        scope = Scope(states, windows=plan.windows, folds=plan.folds, passive=passive)
        scope.record = _keeper(scope, recorded)
        with inference_form(model):
            run_chunk(model, scope, _cut(plan, inputs, at, size), plan.traced.signature, plan.streams)
        calls.append(recorded)
        states, at = scope.new, at + size
    return calls


def _keeper(scope: Scope, recorded: Recorded) -> Any:
    def keep(op: Any, outputs: Any) -> None:
        tensors = [tensor for tensor in keras.tree.flatten(outputs) if tf.is_tensor(tensor)]
        recorded.append((op, [np.asarray(t) for t in tensors], [scope.known(t) for t in tensors]))

    return keep
