"""Every pattern of a mask over five steps, in every kind of layer, in every format: exact."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
from export import saved_model, tflite
from export.recurrence import Compaction
from export.trace import trace
from tests.export import user_cells
from tests.export.judging import FORMATS, SUFFIXES, difference, plain_runtime
from tests.export.random_models import randomise

L = keras.layers

STEPS = 5
# Row r of the batch has the pattern of r's bits: all 32 of them, the empty and the full among them.
PATTERNS = (np.arange(2**STEPS)[:, None] >> np.arange(STEPS) & 1).astype(bool)
X = np.random.default_rng(0).normal(size=(len(PATTERNS), STEPS, 3)).astype("float32")
MERGES = ("concat", "sum", "ave", "mul")

LAYERS: dict[str, Callable[[bool], Any]] = {
    "lstm": lambda s: L.LSTM(2, return_sequences=s),
    "gru": lambda s: L.GRU(2, return_sequences=s),
    "gru_reset_before": lambda s: L.GRU(2, reset_after=False, return_sequences=s),
    "simple": lambda s: L.SimpleRNN(2, return_sequences=s),
    "backwards": lambda s: L.GRU(2, go_backwards=True, return_sequences=s),
    "zero_output": lambda s: L.LSTM(2, zero_output_for_mask=True, return_sequences=s),
    "zero_backwards": lambda s: L.LSTM(2, zero_output_for_mask=True, go_backwards=True, return_sequences=s),
    "stacked": lambda s: L.RNN([L.GRUCell(2), L.LSTMCell(3)], return_sequences=s),
    "own": lambda s: L.RNN(user_cells.ReadoutCell(2, 3), return_sequences=s),
    "own_states": lambda s: L.RNN(user_cells.ManyStatesCell(2, 3), return_sequences=s),
    "inherited": lambda s: L.RNN(user_cells.SubclassedLstmCell(2), return_sequences=s),
    **{f"both_{m}": (lambda s, m=m: L.Bidirectional(L.LSTM(2, return_sequences=s), merge_mode=m)) for m in MERGES},
    "both_gru": lambda s: L.Bidirectional(L.GRU(2, return_sequences=s)),
    "both_simple": lambda s: L.Bidirectional(L.SimpleRNN(2, return_sequences=s)),
    "both_kinds": lambda s: L.Bidirectional(
        L.LSTM(2, return_sequences=s), backward_layer=L.GRU(2, return_sequences=s, go_backwards=True)
    ),
    "states": lambda s: L.LSTM(2, return_sequences=s, return_state=True),
    "both_apart": lambda s: L.Bidirectional(L.GRU(2, return_sequences=s, return_state=True), merge_mode=None),
}
ALL = tuple(f"{name}_{kind}" for name in LAYERS for kind in ("last", "sequence"))
# What differs in code, once each; all of them behind --slow.
FEW = (
    *("lstm_sequence", "gru_last", "gru_reset_before_sequence", "backwards_sequence", "zero_backwards_last"),
    *("stacked_sequence", "own_sequence", "own_states_last", "both_concat_sequence", "both_kinds_sequence"),
    *("both_simple_last", "both_apart_sequence"),
)


def gallery(cases: tuple[str, ...]) -> keras.Model:
    """One model with each layer's answer to the same sequence and mask as an output."""
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    outputs = {}
    for case in cases:
        name, kind = case.rsplit("_", 1)
        results = LAYERS[name](kind == "sequence")(x, mask=mask)
        for place, result in enumerate(results if isinstance(results, (list, tuple)) else [results]):
            outputs[f"{case}_{place}"] = result
    return randomise(keras.Model({"x": x, "mask": mask}, outputs), seed=4)


@pytest.fixture(
    scope="module", params=[pytest.param(ALL, marks=pytest.mark.slow, id="all"), pytest.param(FEW, id="few")]
)
def expected(request: Any) -> tuple[keras.Model, dict[str, np.ndarray]]:
    model = gallery(request.param)
    return model, {name: np.asarray(y) for name, y in model({"x": X, "mask": PATTERNS}).items()}


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_pattern_is_exact(fmt: str, expected: Any, tmp_path: Path) -> None:
    model, wanted = expected
    path = tmp_path / f"gallery{SUFFIXES[fmt]}"
    export.export_model(model, path, verify=False)
    got = plain_runtime(path)({"x": X, "mask": PATTERNS})
    assert set(got) == set(wanted)
    wrong = {name: difference(want, got[name]) for name, want in wanted.items() if difference(want, got[name])}
    assert wrong == {}
    assert max(float(np.abs(want - got[name]).max()) for name, want in wanted.items()) < 3e-6


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("module", [saved_model, tflite])
def test_a_static_time_axis_with_and_without_unrolling(module: Any, unroll: bool) -> None:
    x, mask = keras.Input((STEPS, 3)), keras.Input((STEPS,), dtype="bool")
    layers = [
        *(L.LSTM(2, return_sequences=True, unroll=unroll), L.GRU(2, unroll=unroll)),
        *(
            L.Bidirectional(L.SimpleRNN(2, unroll=unroll)),
            L.Bidirectional(L.GRU(2, return_sequences=True, unroll=unroll)),
        ),
    ]
    model = randomise(keras.Model([x, mask], [layer(x, mask=mask) for layer in layers]))
    traced = trace(model, module.lowering())
    got = traced.function(**dict(zip(traced.arguments.values(), [X, PATTERNS], strict=True)))
    for port, want in zip(traced.outputs, model([X, PATTERNS]), strict=True):
        assert difference(np.asarray(want), np.asarray(got[port.name])) == ""


def test_compaction_moves_the_valid_steps_to_the_front() -> None:
    steps = np.broadcast_to(np.arange(1, STEPS + 1), PATTERNS.shape)
    compaction = Compaction(PATTERNS)
    packed = np.asarray(compaction.pack(steps[..., None].astype("float32")))[..., 0]
    for row, pattern, count in zip(packed, PATTERNS, np.asarray(compaction.count), strict=True):
        assert list(row[:count]) == [step + 1 for step in range(STEPS) if pattern[step]]


def test_what_is_packed_spreads_back() -> None:
    steps = np.random.default_rng(1).normal(size=(len(PATTERNS), STEPS, 2)).astype("float32")
    compaction = Compaction(PATTERNS)
    spread = np.asarray(compaction.spread(compaction.pack(steps), zero_masked=True))
    np.testing.assert_array_equal(spread, np.where(PATTERNS[..., None], steps, 0))


@pytest.mark.parametrize("length", [1, 2, 7, 31, 32, 33, 63, 64, 65, 301, 511, 512, 513, 543, 545, 1025])
def test_chunks_of_any_length(length: int, long_sequences: Any) -> None:
    """LiteRT's loops run in chunks and blocks of steps: the last one is rarely full."""
    traced, keras_says = long_sequences
    x = np.random.default_rng(length).normal(size=(2, length, 3)).astype("float32")
    x[1, (length + 1) // 2 :] = 0
    got = traced.function(**{next(iter(traced.arguments.values())): x})
    for name, want in keras_says(x).items():
        assert difference(np.asarray(want), np.asarray(got[name])) == "", name


@pytest.fixture(scope="module")
def long_sequences() -> tuple[Any, Any]:
    x = keras.Input((None, 3))
    kinds = {"gru": L.GRU, "lstm": L.LSTM}
    outputs = {f"{name}_{s}": kind(2, return_sequences=s)(x) for name, kind in kinds.items() for s in (False, True)}
    outputs["states"] = keras.ops.concatenate(L.LSTM(2, return_sequences=True, return_state=True)(x)[1:], axis=-1)
    for units in (40, 80, 128):  # four steps an iteration, two, one
        for source, kind in ((x, L.GRU), (L.Masking()(x), L.LSTM)):
            sequences, *states = kind(units, return_sequences=True, return_state=True)(source)
            last = kind(units)(source)
            parts = [part[..., :3] for part in (sequences, last, *states)]
            outputs.update({f"{kind.__name__}_{units}_{place}": part for place, part in enumerate(parts)})
    model = randomise(keras.Model(x, outputs))
    graph = tf.function(model, autograph=False, input_signature=[tf.TensorSpec((None, None, 3))])
    return trace(model, tflite.lowering()), graph


@pytest.mark.parametrize("fmt", FORMATS)
def test_steps_that_masking_zeroed_count_under_another_mask(fmt: str, tmp_path: Path) -> None:
    """What Masking replaced is left out where the layer has Masking's own mask, and only there."""
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    given, elsewhere = L.Masking(0.5)(x), L.Masking(0.25)(x)
    outputs = {
        "own": L.GRU(2, return_sequences=True)(given),
        "other": L.GRU(2, return_sequences=True)(given, mask=mask),
        "of_another_value": L.LSTM(2)(elsewhere, mask=keras.ops.any(keras.ops.not_equal(x, 0.5), axis=-1)),
    }
    model = randomise(keras.Model({"x": x, "mask": mask}, outputs))
    padding = np.where(np.arange(len(X)) % 2, 0.5, 0.25)[:, None, None]
    feeds = {"x": np.where(PATTERNS[..., None], X, padding).astype("float32"), "mask": PATTERNS[::-1]}
    path = tmp_path / f"m{SUFFIXES[fmt]}"
    export.export_model(model, path, verify=False)
    got = plain_runtime(path)(feeds)
    for name, want in model(feeds).items():
        assert difference(np.asarray(want), got[name]) == "", name


def test_onnx_takes_few_ops_for_a_mask(tmp_path: Path) -> None:
    """A small op costs about as much as a step of a small LSTM: the masks' share decides short calls."""
    x = keras.Input((None, 3))
    counts = []
    for source in (x, L.Masking()(x)):
        model = keras.Model(x, L.LSTM(2, return_sequences=True)(source))
        artifact = export.export_model(model, tmp_path / "m.onnx", verify=False)
        counts.append(sum(export.op_histogram(artifact.path).values()))
    assert counts[1] - counts[0] <= 16
