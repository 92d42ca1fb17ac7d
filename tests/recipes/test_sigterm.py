"""SIGTERM in the middle of an epoch: the step is saved, and the resumed run is the undisturbed one to the last bit."""

import json
import random

import numpy as np
import pytest

from recipes import bptt, run_folder, training
from recipes.console import Console
from tests.recipes.members import TERM, Moment, alone, options
from tests.recipes.small import FIELDS, assert_same, last_state, train, weights

STEPS = 6
WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "and", "then", "ran"]
TEXT = {"epochs": 2, "units": (6,), "embedding": 4, "window": 16, "batch_size": 8, "dropout": 0.2}


def stopped(words: list[str], folder, moment: Moment) -> dict:
    """Runs up to the signal; what the checkpoint says of the place."""
    member = alone([*words, "--out", str(folder / "run")], folder / "process", moment=moment)
    assert member.join() == 143, member.said
    assert member.said[-1].startswith("stopped; go on with: seqzoo run ")
    assert member.said[-1].endswith(f" --out {folder / 'run'} --resume")
    with np.load(folder / "run" / "checkpoints" / "last.npz") as stored:
        return json.loads(str(stored["facts"]))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    model, progress = train(folder)
    return weights(model), last_state(folder), progress


@pytest.mark.parametrize(
    ("moment", "place"),
    [
        (Moment(STEPS + 2, TERM), (1, 2, False)),
        pytest.param(Moment(2 * STEPS, TERM), (1, STEPS, True), marks=pytest.mark.slow),
        pytest.param(Moment(3, TERM, validating=True), (1, STEPS, True), marks=pytest.mark.slow),
    ],
    ids=["step", "last step", "validation"],
)
def test_stopped_in_an_epoch(tmp_path, undisturbed, moment, place):
    facts = stopped(["run", "digits", *options(FIELDS)], tmp_path, moment)
    assert (len(facts["rows"]), facts["step"], facts["row"] is not None) == place

    model, progress = train(tmp_path / "run", resume=True)

    assert_same(weights(model), undisturbed[0])
    assert_same(last_state(tmp_path / "run"), undisturbed[1])
    assert progress == undisturbed[2]


def read_on(folder, text, *, resume=False):
    """Trains on the stream, without exports and report."""
    recipe = run_folder.begin("language_model", folder, {**TEXT, "text": text}, resume=resume, overwrite=False)
    with training.numerics(recipe):
        data = recipe.load_data()
        twin = bptt.carrying(recipe.build_model(data), recipe.batch_size)
        objective = recipe.objective()
        training.compile_model(twin, recipe, objective, data)
        return twin, training.fit(recipe, twin, objective, data, folder=folder, console=Console(quiet=True))


def test_a_text_is_read_on_with_the_states_it_was_left_with(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(" ".join(random.Random(0).choices(WORDS, k=900)) + "\n", encoding="utf-8")
    whole, progress = read_on(tmp_path / "whole", str(text))
    facts = stopped(["run", "language_model", "--text", str(text), *options(TEXT)], tmp_path, Moment(7, TERM))
    assert facts["step"] == 7
    with np.load(tmp_path / "run" / "checkpoints" / "last.npz") as stored:
        carried = [stored[name] for name in stored.files if name.startswith("carried/")]
    assert carried
    assert all(np.abs(state).max() > 0 for state in carried)

    resumed, again = read_on(tmp_path / "run", str(text), resume=True)

    assert_same(weights(resumed), weights(whole))
    assert_same(last_state(tmp_path / "run"), last_state(tmp_path / "whole"))
    assert again == progress
