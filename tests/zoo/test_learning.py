"""Every entry learns a task that needs its mechanism: here, or in the file of its kind."""

import ast
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.support import build, call, train

SYMBOLS, STEPS = 3, 8
IDS = np.random.default_rng(0).integers(0, SYMBOLS, (128, STEPS))
X = np.eye(SYMBOLS, dtype="float32")[IDS]


def before(steps: int) -> np.ndarray:
    """The symbol so many steps ago (or ahead, if negative); 0 where there is none."""
    shifted = np.roll(IDS, steps, axis=1)
    shifted[:, slice(0, steps) if steps > 0 else slice(steps, None)] = 0
    return shifted


def told_by_two() -> np.ndarray:
    """Tokens from 1 up, each told by the two before it: 1 + (a + b) mod 3."""
    tokens = 1 + IDS
    for t in range(2, STEPS):
        tokens[:, t] = 1 + (tokens[:, t - 1] + tokens[:, t - 2]) % SYMBOLS
    return tokens


@dataclasses.dataclass(frozen=True)
class Task:
    """What a model is shown, what it shall say, and how many training steps that takes."""

    fields: dict[str, Any]
    labels: Callable[[], np.ndarray]
    steps: int = 60
    inputs: Callable[[], np.ndarray] = lambda: X
    first_asked: int = 0


RNN = {"features": SYMBOLS, "classes": SYMBOLS}
TASKS = {
    # Across the whole sequence.
    "sequence_classifier": Task({**RNN, "units": (16,), "cell": "gru"}, lambda: IDS[:, 0]),
    "sequence_regressor": Task({"features": SYMBOLS, "units": (16,), "cell": "gru"}, lambda: IDS.mean(1)[:, None]),
    # Of what the sequence begins and ends with, which is larger: each direction forgets nothing of its own last step.
    "bidirectional_classifier": Task({**RNN, "units": (16,)}, lambda: (IDS[:, 0] > IDS[:, -1]).astype(int)),
    "sequence_tagger": Task({**RNN, "units": (16,), "cell": "gru"}, lambda: before(2)),
    "bidirectional_tagger": Task({**RNN, "units": (16,), "cell": "gru"}, lambda: before(-2), steps=80),
    # Sums modulo 3 of two steps: no linear function of the input and the state.
    "stacked_rnn": Task({**RNN, "units": (12, 12), "cell": "gru"}, lambda: (IDS + before(1)) % 3, steps=80),
    "deep_transition_rnn": Task({**RNN, "units": 24}, lambda: (IDS + before(1)) % 3, steps=80),
    "leaky_rnn": Task({**RNN, "units": 16, "longest": 30.0}, lambda: IDS[:, :1].repeat(STEPS, 1)),
    "clockwork_rnn": Task({**RNN, "units": 8, "periods": (1, 8)}, lambda: IDS[:, :1].repeat(STEPS, 1)),
    "time_skip_rnn": Task({**RNN, "units": 16, "delay": 4}, lambda: before(4)),
    "language_model": Task(
        {"vocabulary": SYMBOLS + 1, "units": (16,), "embedding": 6, "cell": "gru"},
        lambda: told_by_two()[:, 1:],
        inputs=lambda: told_by_two()[:, :-1],
        first_asked=1,
    ),
}
ELSEWHERE = {
    "attention_encoder_decoder": "test_encoder_decoder_tasks.py::test_attention_learns_to_turn_sequences_around",
    "attention_memory": "test_memory.py::test_attention_memory_recalls_by_content",
    "autoregressive": "test_autoregressive.py::test_a_linear_process_is_fitted_to_its_least_squares",
    "character_tagger": "test_character_tagger.py::test_it_tells_unknown_words_apart_by_their_spelling",
    "conditional_rnn": "test_structured.py::test_feedback_expresses_a_joint_distribution_and_samples_from_it",
    "crf_tagger": "test_crf.py::test_it_learns_what_single_steps_cannot_tell",
    "echo_state_network": "test_reservoir.py::test_the_echo_state_network_learns_narma",
    "encoder_decoder": "test_encoder_decoder_tasks.py::test_one_vector_carries_a_short_sequence_and_nothing_else_does",
    "frame_labeler": "test_structured.py::test_a_video_is_labeled_by_what_moves",
    "image_captioner": "test_one_to_many.py::test_captions_tell_images_apart",
    "latent_autoregressive": "test_autoregressive.py::test_a_summary_remembers_what_a_window_has_lost",
    "liquid_state_machine": "test_reservoir.py::test_the_liquid_remembers_what_its_readout_cannot_see",
    "markov": "test_autoregressive.py::test_gradient_descent_finds_the_counts_too",
    "memory_network": "test_memory.py::test_it_learns_where_everybody_is_and_looks_there",
    "neural_turing_machine": "test_memory.py::test_the_turing_machine_learns",
    "output_recurrent": "test_structured.py::test_trained_by_teacher_forcing_it_runs_free",
    "tree_lstm": "test_recursive.py::test_it_learns_to_evaluate_formulas_longer_than_it_was_taught",
    "tree_rnn": "test_recursive.py::test_it_learns_to_evaluate_formulas_longer_than_it_was_taught",
    "vector_to_sequence": "test_one_to_many.py::test_it_learns_to_spell_what_the_vector_says",
}


@pytest.mark.parametrize("name", TASKS)
def test_it_learns_what_needs_its_mechanism(name: str) -> None:
    task = TASKS[name]
    model, labels = build(name, task.fields), task.labels()
    numbers = labels.dtype.kind == "f"
    loss = "mse" if numbers else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss)
    losses = train(model, task.inputs(), labels, task.steps)
    assert losses[-1] < 0.5 * losses[0]
    if not numbers:
        said = np.asarray(call(model, {"x": task.inputs()})).argmax(-1)
        right = said == labels
        assert (right[:, task.first_asked :] if right.ndim > 1 else right).mean() > 0.9


def test_every_entry_learns_something() -> None:
    assert set(TASKS) | set(ELSEWHERE) == set(zoo.list_models())
    for name, place in ELSEWHERE.items():
        file, test = place.split("::")
        tree = ast.parse((Path(__file__).parent / file).read_text())
        tests = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert test in tests, f"{name}: {place}"
