"""The zoo's own models step by step: every causal entry of the registry, and what ticks at a pace of its own."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import export
import zoo
from tests.export.causal_models import model_of, randomise
from tests.export.test_stream_artifacts import check
from tests.export.test_streaming import whole_and_chunked
from zoo.layers import EveryNth, HoldSteps

L = keras.layers
FORMATS = ("tflite", "onnx", "saved_model")
# Entries whose `tiny` form does not run along one sequence: what they need in common is the whole of it.
WHOLE = {
    "attention_encoder_decoder", "bidirectional_classifier", "bidirectional_tagger", "character_tagger", "crf_tagger",
    "encoder_decoder", "memory_network", "tree_lstm", "tree_rnn",
}  # fmt: skip
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "clockwork, masked": ("clockwork_rnn", {"periods": (1, 3, 4), "mask_value": 0.0}),
    "clockwork, slow only": ("clockwork_rnn", {"periods": (3, 7)}),
    "clockwork, tokens": ("clockwork_rnn", {"features": None, "vocabulary": 9}),
    "labels fed back": ("conditional_rnn", {"feedback": "best"}),
    "labels drawn": ("conditional_rnn", {"feedback": "sampled"}),
    "labels given, masked": ("conditional_rnn", {"mask_value": 0.0}),
    "picture beside each word": ("image_captioner", {"context": "both"}),
    "vector beside each word": ("vector_to_sequence", {"context": "input"}),
    "words and their spelling": ("character_tagger", {"bidirectional": False}),
}


def built(name: str, **fields: Any) -> keras.Model:
    model = zoo.create_model(name, **{**zoo.get_spec(name).tiny, **fields})
    return randomise(model, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS)
def test_modules_with_periods_of_their_own_over_a_thousand_steps(fmt: str, tmp_path: Path) -> None:
    model = built("clockwork_rnn", periods=(1, 3, 4))
    check(export.export_model(model, tmp_path, fmt, streaming=True), model, steps=1000)


@pytest.mark.parametrize("case", ["clockwork, masked", "labels given, masked", "picture beside each word"])
def test_variants(case: str) -> None:
    """The proof against the whole sequence is `to_streaming`'s own."""
    name, fields = VARIANTS[case]
    assert export.to_streaming(built(name, **fields)).plan.hop == 1


@pytest.mark.slow
def test_every_causal_entry_of_the_registry_runs_step_by_step() -> None:
    """`WHOLE` is written by hand; an entry that claims to be causal, or is new, must be a step model or be there."""
    for name in zoo.list_models():
        model = built(name)
        if name in WHOLE:
            assert not zoo.get_spec(name).is_streamable(**zoo.get_spec(name).tiny)
            with pytest.raises(export.NotCausalError, match=r"layer '.*' \(\w+\) can't be streamed: "):
                export.to_streaming(model)
        else:
            export.to_streaming(model)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("name", sorted(set(zoo.list_models()) - WHOLE))
def test_every_causal_entry_as_a_file(name: str, fmt: str, tmp_path: Path) -> None:
    """Verified by `export_model`, in odd chunks and with two streams in turns."""
    artifact = export.export_model(built(name), tmp_path, fmt, streaming=True)
    assert {"in odd chunks", "after a reset", "two streams in turns"} <= set(artifact.report.cases)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
@pytest.mark.parametrize("case", VARIANTS)
def test_variants_as_files(case: str, fmt: str, tmp_path: Path) -> None:
    name, fields = VARIANTS[case]
    export.export_model(built(name, **fields), tmp_path, fmt, streaming=True)


def _thinned(x: Any) -> Any:
    """A recurrent layer over every third step of what a convolution gives, held, beside one over every step."""
    x = L.Conv1D(4, 3)(x)
    slow = L.LSTM(3, return_sequences=True)(L.Dropout(0.2)(EveryNth(3)(x)))
    return L.GRU(3, return_sequences=True)(L.Concatenate()([x, HoldSteps(3, delay=2)([slow, x])]))


@pytest.mark.slow
def test_thinned_out_behind_a_layer_that_starts_late(tmp_path: Path) -> None:
    model = model_of(_thinned)
    check(export.export_model(model, tmp_path, "onnx", streaming=True), model)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: L.GRU(3, return_sequences=True)(EveryNth(4)(x)),
        lambda x: L.Conv1D(3, 2, padding="causal")(EveryNth(4)(x)),
    ],
    ids=["to the end", "seen in windows"],
)
def test_thinned_out_for_good_is_a_longer_hop(build: Any) -> None:
    """Where nothing fills the steps between, the model gives one step in four, and takes four at a time."""
    model = model_of(build)
    assert export.to_streaming(model).plan.hop == 4
    for want, got in whole_and_chunked(model, steps=120):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


def test_a_picture_beside_a_sequence_stays_what_it_is(tmp_path: Path) -> None:
    """An input of fixed size is context; two sequences of any length both run along."""
    model = built("image_captioner")
    rng = np.random.default_rng(0)
    image, tokens = rng.normal(size=(1, 6, 5, 2)).astype("float32"), rng.integers(1, 7, (1, 9)).astype("int32")
    stream = export.Stream(export.export_model(model, tmp_path, "onnx", streaming=True), context={"image": image})
    got = np.concatenate([stream.feed(token_ids=tokens[:, at : at + 2])["logits"] for at in range(0, 9, 2)], axis=1)
    want = model({"image": image, "token_ids": tokens})
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


@keras.saving.register_keras_serializable("user")
class Gate(L.Layer):
    """Passes the mean of the valid steps so far; its memory minds the mask."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.supports_masking = True

    def call(self, x: Any, mask: Any = None) -> Any:
        return self.stream_call(x, self.stream_state(x), mask)[0]

    def stream_state(self, x: Any) -> Any:
        return ops.zeros_like(x[:, :1])

    def stream_call(self, x: Any, state: Any, mask: Any = None) -> tuple[Any, Any]:
        valid = ops.ones_like(x) if mask is None else x * ops.cast(mask, x.dtype)[..., None]
        total = state + ops.cumsum(valid, axis=1)
        return total, total[:, -1:]


def test_a_memory_of_ones_own_gets_the_mask_if_it_asks() -> None:
    model = model_of(lambda x: L.Dense(2)(Gate()(L.Masking()(x))))
    x = np.random.default_rng(0).normal(size=(2, 12, 5)).astype("float32")
    x[0, 2:5] = 0
    step = export.to_streaming(model)
    states, got = step.initial_states(2), []
    for at in range(0, 12, 3):
        y, states = step(tf.constant(x[:, at : at + 3]), states)
        got.append(y)
    np.testing.assert_allclose(np.concatenate(got, axis=1), model(x), rtol=1e-4, atol=1e-5)
