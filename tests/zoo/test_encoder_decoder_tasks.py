"""Encoder-decoders learn to turn sequences around, in both precisions, and each file does what the model does."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from tests.zoo.test_encoder_decoder import MODELS, randomised
from zoo import create_model
from zoo.decoding import Stepper, beam_search, greedy
from zoo.training import SamplingSchedule, ScheduledSampling, inverse_sigmoid_decay, teacher_forcing

START, END, VOCABULARY, LONGEST = 1, 2, 9, 6
SIZES: dict[str, Any] = {
    "source_vocabulary": VOCABULARY,
    "target_vocabulary": VOCABULARY,
    "embedding": 16,
    "encoder_units": (32,),
    "decoder_units": (40,),
    "cell": "gru",
}


def turned(rows: int, seed: int, longest: int = LONGEST) -> tuple[np.ndarray, np.ndarray]:
    """-> (sequences of many lengths, the same from the end to the beginning), padded on the right."""
    rng = np.random.default_rng(seed)
    source, target = np.zeros((rows, LONGEST), "int32"), np.zeros((rows, LONGEST), "int32")
    for row, length in enumerate(rng.integers(2, longest + 1, rows)):
        source[row, :length] = rng.integers(3, VOCABULARY, length)
        target[row, :length] = source[row, :length][::-1]
    return source, target


def fit(
    trainer: keras.Model, epochs: int, callbacks: tuple[Any, ...] = (), rows: int = 3000, longest: int = LONGEST
) -> list[float]:
    source, target = turned(rows, seed=0, longest=longest)
    inputs, labels = teacher_forcing(target, start_id=START, end_id=END)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), loss=loss)
    data = {"encoder_token_ids": source, "decoder_token_ids": inputs}
    history = trainer.fit(data, labels, batch_size=64, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return list(history.history["loss"])


def share_turned(
    model: keras.Model, way: Any = greedy, longest: int = LONGEST, shown: Any = None, **options: Any
) -> float:
    """Which share of unseen sequences the model turns around without a mistake, writing on its own."""
    source, target = turned(300, seed=1, longest=longest)
    step = Stepper(model)
    result = way(
        step,
        np.full(300, START, "int32"),
        step.start({"encoder_token_ids": source if shown is None else shown(source)}),
        max_length=LONGEST + 1,
        end_id=END,
        **options,
    )
    _, labels = teacher_forcing(target, start_id=START, end_id=END)
    return float((np.asarray(result.token_ids).reshape(300, -1) == labels).all(axis=1).mean())


@pytest.mark.slow
def test_attention_learns_to_turn_sequences_around() -> None:
    keras.utils.set_random_seed(0)
    model = create_model("attention_encoder_decoder", **SIZES, return_attention=False)
    losses = fit(model, epochs=12)
    assert losses[-1] < 0.1 * losses[0]
    assert share_turned(model) > 0.8
    assert share_turned(model, beam_search, beam_width=3) > 0.8


@pytest.mark.slow
def test_one_vector_carries_a_short_sequence_and_nothing_else_does() -> None:
    keras.utils.set_random_seed(0)
    model = create_model("encoder_decoder", **SIZES, context="both")
    fit(model, epochs=14, longest=3)
    assert share_turned(model, longest=3) > 0.8
    # Of another sequence's vector it writes that other sequence.
    assert share_turned(model, longest=3, shown=lambda source: np.roll(source, 1, axis=0)) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("encoder_decoder", {"context": "both"}),
        ("encoder_decoder", {"context": "state", "cell": "lstm"}),
        ("attention_encoder_decoder", {"attention": "multiplicative"}),
        ("attention_encoder_decoder", {"input_feeding": True}),
        ("attention_encoder_decoder", {"query": "last", "cell": "gru"}),
        ("attention_encoder_decoder", {"input_feeding": True, "attention": "multiplicative", "cell": "lstm"}),
    ],
    ids=str,
)
def test_every_form_learns_to_turn_sequences_around(name: str, fields: dict[str, Any]) -> None:
    keras.utils.set_random_seed(0)
    model = create_model(name, **{**SIZES, **fields})
    losses = fit(model, epochs=30 if name == "encoder_decoder" else 10)
    assert losses[-1] < 0.3 * losses[0]
    assert share_turned(model) > 0.5


@pytest.mark.slow
def test_scheduled_sampling_trains_the_model_itself() -> None:
    keras.utils.set_random_seed(0)
    model = create_model("attention_encoder_decoder", **SIZES)
    trainer = ScheduledSampling(model, seed=0)
    losses = fit(trainer, epochs=7, callbacks=(SamplingSchedule(inverse_sigmoid_decay(2.0)),))
    assert float(trainer.sampling_probability) > 0.85
    assert losses[-1] < 0.3 * losses[0]
    assert share_turned(model) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encoder_decoder", "attention_encoder_decoder"])
def test_the_loss_falls_in_mixed_precision(name: str) -> None:
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = create_model(name, **SIZES, **({"input_feeding": True} if name.startswith("attention") else {}))
    finally:
        keras.config.set_dtype_policy(before)
    losses = fit(model, epochs=2, rows=1000)
    assert np.isfinite(losses).all()
    assert losses[1] < 0.95 * losses[0]


def check_export(case: str, format: str, folder: Path) -> None:
    artifact = export.export_model(randomised(MODELS[case][0], **MODELS[case][1]), folder, format=format)
    assert artifact.report.passed


@pytest.mark.parametrize(("case", "format"), [("one vector", "onnx"), ("deep feeding", "tflite")])
def test_a_file_does_what_the_model_does(case: str, format: str, tmp_path: Path) -> None:
    check_export(case, format, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["saved_model", "tflite", "onnx"])
@pytest.mark.parametrize("case", MODELS)
def test_every_file_does_what_the_model_does(case: str, format: str, tmp_path: Path) -> None:
    check_export(case, format, tmp_path)
