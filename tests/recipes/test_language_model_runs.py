"""Runs that go on with a text: Ctrl-C and resuming, a run in miniature, other models in the usual one's place."""

import contextlib
import dataclasses
import io
import signal
import subprocess
import sys

import pytest

import recipes
from recipes import bptt, cli, language_report, run_folder, training
from recipes.console import Console
from recipes.errors import UsageError
from recipes.language_models import LanguageModelConfig
from recipes.recipe import configure
from tests.recipes.small import assert_same, last_state, weights
from tests.recipes.small_text import SMALL, own


def train(folder, text, *, resume: bool = False, **fields):
    """Trains on the stream, without exports and report."""
    recipe = run_folder.begin(
        "language_model", folder, {**SMALL, "text": text, **fields}, resume=resume, overwrite=False
    )
    with training.numerics(recipe):
        data = recipe.load_data()
        twin = bptt.carrying(recipe.build_model(data), recipe.batch_size)
        objective = recipe.objective()
        training.compile_model(twin, recipe, objective, data)
        progress = training.fit(recipe, twin, objective, data, folder=folder, console=Console(quiet=True))
    return twin, progress


@pytest.mark.slow
def test_ctrl_c_and_resume_on_a_stream(tmp_path, text_file):
    undisturbed, progress = train(tmp_path / "whole", str(text_file))
    folder = tmp_path / "cut"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if name != "units"]
    command = [sys.executable, "-m", "recipes.cli", "run", "language_model", "--text", str(text_file), "--units", "6"]
    process = subprocess.Popen(
        [*command, "--out", str(folder), *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("epoch 1/"):
            process.send_signal(signal.SIGINT)
    process.wait(timeout=120)

    assert process.returncode == 130
    assert lines[-1] == f"stopped; go on with: seqzoo run language_model --out {folder} --resume\n"
    assert not any(line.startswith("epoch 3/") for line in lines), "it was stopped before its end"
    resumed, other = train(folder, str(text_file), resume=True)
    assert_same(weights(resumed), weights(undisturbed))
    assert_same(last_state(folder), last_state(tmp_path / "whole"))
    assert other == progress


@pytest.mark.parametrize(
    "slow", [pytest.param(False, id="onnx"), pytest.param(True, id="every format", marks=pytest.mark.slow)]
)
def test_a_run_in_miniature(tmp_path, monkeypatch, text_file, slow):
    if not slow:
        plain = LanguageModelConfig.deployments
        monkeypatch.setattr(
            LanguageModelConfig,
            "deployments",
            lambda *args: tuple(dataclasses.replace(made, formats=("onnx",)) for made in plain(*args)),
        )
    run = recipes.run("language_model", text=str(text_file), out=tmp_path / "run", quiet=True, **SMALL | {"epochs": 1})
    rows = {row["file"]: row["metrics"] for row in run.results["artifacts"]}
    suffixes = (".onnx", ".tflite", ".saved_model") if slow else (".onnx",)
    assert set(rows) == {stem + suffix for stem in ("model", "writer") for suffix in suffixes}
    for file, metrics in rows.items():
        if file.startswith("model"):
            assert metrics == pytest.approx(run.metrics, rel=1e-4)
        else:
            assert metrics == {"same_text": 1.0}
    page = (run.folder / "report.html").read_text()
    for title in ("Surprise", "Samples", "Gradient flow over time", "What it was taught and what it has not seen"):
        assert f"{title}</h2>" in page
    assert page.count('<td role="cell" class="text" data-column="after ') == 2 * 3, "two prompts, three temperatures"
    words = ["--prompt", "the cat ", "--seed", "4", "--max-tokens", "12", "--temperature", "0.7"]
    texts = []
    for source in (run.folder, run.folder / "exports" / "writer.onnx"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert cli.main(["generate", str(source), *words]) == 0
        texts.append(out.getvalue())
    assert texts[0] == texts[1]
    assert len(texts[0]) > 1


def test_models_that_cannot_go_on_from_their_output_are_exported_alone(monkeypatch, text_file):
    recipe = own(text=str(text_file))
    data = recipe.load_data()
    model = recipe.build_model(data)
    other = dataclasses.replace(data, metadata={**data.metadata, "vocabulary": data.metadata["vocabulary"][:-1]})
    assert [deployment.name for deployment in recipe.deployments(model, data)] == ["model", "writer"]
    assert [deployment.name for deployment in recipe.deployments(model, other)] == ["model"]


@pytest.mark.parametrize("model", ["leaky_rnn", "time_skip_rnn", "markov"])
def test_other_models_score_the_next_token(text_file, model):
    # With the recipe's own settings: markov has no units to set.
    recipe = configure(recipes.get_recipe("language_model"), {"text": str(text_file), "model": model, "batch_size": 8})
    data = recipe.load_data()
    made = recipe.build_model(data)
    assert made.name == model
    twin = bptt.carrying(made, recipe.batch_size)
    assert twin.output_shape[-1] == len(data.metadata["vocabulary"])
    assert [deployment.name for deployment in recipe.deployments(made, data)] == ["model", "writer"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("sequence_classifier", "can't use sequence_classifier: it is many-to-one"),
        ("conditional_rnn", "can't use conditional_rnn: it reads true_labels too"),
        ("output_recurrent", "can't use output_recurrent: it does not give logits"),
        ("bidirectional_tagger", "can't use bidirectional_tagger: it reads the tokens that it is to guess"),
        ("languag_model", "did you mean 'language_model'"),
    ],
)
def test_models_of_other_tasks_are_refused(text_file, model, message):
    recipe = configure(recipes.get_recipe("language_model"), {"text": str(text_file), "model": model})
    with pytest.raises(UsageError, match=message):
        recipe.build_model(recipe.load_data())


def test_the_gradients_of_modules_that_rest_are_drawn(text_file):
    recipe = configure(recipes.get_recipe("language_model"), {"text": str(text_file), "model": "clockwork_rnn"})
    data = recipe.load_data()
    model = recipe.build_model(data)
    page = str(language_report.gradient_flow(model, model, data, recipe.window).html)
    assert all(f"module_{period}, trained" in page for period in (1, 2, 4, 8))
