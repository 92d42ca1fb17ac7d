"""A model and its decoder as one model: saved, loaded elsewhere, exported, it writes the same tokens."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from tests.zoo.test_stepping import MODELS, randomised
from zoo.decoding import Stepper, beam_search, greedy, prime, sample
from zoo.generation import generator

SOURCE = np.array([[1, 2, 3, 4, 5], [8, 7, 6, 0, 0], [5, 5, 5, 5, 0]], "int32")
LIMITS: dict[str, Any] = {"max_length": 6, "end_id": 2}
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"beam_width": 3, "n_best": 2, "length_penalty": 0.6},
    "sample": {"temperature": 1.4, "top_k": 5, "top_p": 0.9},
}
SEEDS = np.array([7, 8, 9], "int32")


def translator(case: str, way: str) -> tuple[keras.Model, dict[str, np.ndarray]]:
    model = generator(randomised(*MODELS[case]), way=way, start_id=1, **LIMITS, **WAYS[way])
    return model, {"encoder_token_ids": SOURCE} | ({"seed": SEEDS} if way == "sample" else {})


def text_generator(way: str) -> tuple[keras.Model, dict[str, np.ndarray]]:
    model = generator(randomised(*MODELS["language model, lstm"]), way=way, **LIMITS, **WAYS[way])
    prompts = np.array([[1, 3, 4], [0, 5, 6], [1, 0, 0]], "int32")
    return model, {"token_ids": prompts} | ({"seed": SEEDS} if way == "sample" else {})


def written(model: keras.Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in model(inputs).items()}


@pytest.mark.parametrize("way", WAYS)
def test_a_translator_writes_what_its_parts_write(way: str) -> None:
    model, inputs = translator("attention", way)
    step, first = Stepper(randomised(*MODELS["attention"])), np.ones(3, "int32")
    states = step.start({"encoder_token_ids": SOURCE})
    decode = {"greedy": greedy, "beam": beam_search, "sample": lambda *a, **o: sample(*a, seed=SEEDS, **o)}[way]
    expected = decode(step, first, states, **LIMITS, **WAYS[way])._asdict()
    expected["generated_ids"] = expected.pop("token_ids")
    if way == "sample":
        expected["next_seed"] = expected.pop("seed")
    got = written(model, inputs)
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-5)
        spec = model.output[name]
        assert got[name].dtype == spec.dtype
        assert got[name].shape[1:] == spec.shape[1:]


@pytest.mark.parametrize("way", WAYS)
def test_a_forbidden_token_is_as_if_it_had_no_chance(way: str, tmp_path: Path) -> None:
    language, inputs = randomised(*MODELS["language model, lstm"]), text_generator(way)[1]
    wanted = set(np.unique(written(generator(language, way=way, **LIMITS, **WAYS[way]), inputs)["generated_ids"]))
    forbidden = sorted(wanted - {0, LIMITS["end_id"]})[:2]
    model = generator(language, way=way, forbidden=forbidden, **LIMITS, **WAYS[way])
    got = written(model, inputs)
    assert forbidden
    assert not set(forbidden) & set(np.unique(got["generated_ids"]))
    # The same model with weights that give these tokens no chance.
    bias = language.get_layer("logits").bias
    bias.assign(np.where(np.isin(np.arange(bias.shape[0]), forbidden), -1e9, bias.numpy()))
    for name, value in written(generator(language, way=way, **LIMITS, **WAYS[way]), inputs).items():
        np.testing.assert_allclose(got[name], value, atol=1e-5)
    model.save(tmp_path / "writer.keras")
    again = written(keras.saving.load_model(tmp_path / "writer.keras"), inputs)
    np.testing.assert_array_equal(again["generated_ids"], got["generated_ids"])


def test_a_text_generator_goes_on_from_its_prompts() -> None:
    model, inputs = text_generator("greedy")
    step = Stepper(randomised(*MODELS["language model, lstm"]))
    last, states = prime(step, inputs["token_ids"], step.start(batch_size=3))
    np.testing.assert_array_equal(
        written(model, inputs)["generated_ids"], greedy(step, last, states, **LIMITS).token_ids
    )


DECODE = """
import sys
import numpy as np
import keras
import zoo
from zoo.decoding import Stepper, beam_search, greedy
folder = sys.argv[1]
results = {}
for kind in ("encoder_decoder", "attention", "feeding"):
    step = Stepper(keras.saving.load_model(f"{folder}/{kind}.keras"))
    states = step.start({"encoder_token_ids": np.load(f"{folder}/source.npy")})
    first = np.ones(3, "int32")
    results[f"{kind}_greedy"] = greedy(step, first, states, max_length=6, end_id=2).token_ids
    results[f"{kind}_beam"] = beam_search(step, first, states, beam_width=3, max_length=6, end_id=2).token_ids
whole = keras.saving.load_model(f"{folder}/translator.keras")
results["translator"] = whole({"encoder_token_ids": np.load(f"{folder}/source.npy")})["generated_ids"]
np.savez(f"{folder}/decoded.npz", **results)
"""


@pytest.mark.slow
def test_a_fresh_process_decodes_the_same_tokens(tmp_path: Path) -> None:
    cases = {
        "encoder_decoder": "encoder-decoder, both",
        "attention": "attention",
        "feeding": "attention, feeding",
    }
    expected = {}
    np.save(tmp_path / "source.npy", SOURCE)
    for kind, case in cases.items():
        model = randomised(*MODELS[case])
        model.save(tmp_path / f"{kind}.keras")
        step, first = Stepper(model), np.ones(3, "int32")
        states = step.start({"encoder_token_ids": SOURCE})
        expected[f"{kind}_greedy"] = greedy(step, first, states, **LIMITS).token_ids
        expected[f"{kind}_beam"] = beam_search(step, first, states, beam_width=3, **LIMITS).token_ids
    whole, inputs = translator("attention", "beam")
    whole.save(tmp_path / "translator.keras")
    expected["translator"] = written(whole, inputs)["generated_ids"]
    subprocess.run([sys.executable, "-c", DECODE, str(tmp_path)], check=True)
    decoded = np.load(tmp_path / "decoded.npz")
    assert set(decoded.files) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(decoded[name], value, err_msg=name)


FORMATS = ("saved_model", "tflite", "onnx")
EXPORTS = {
    "translator, greedy": lambda: translator("attention", "greedy"),
    "translator, beam": lambda: translator("attention", "beam"),
    "translator, sampled": lambda: translator("attention", "sample"),
    "one vector, beam": lambda: translator("encoder-decoder, both", "beam"),
    "input feeding, beam": lambda: translator("attention, feeding", "beam"),
    "text, greedy": lambda: text_generator("greedy"),
    "text, beam": lambda: text_generator("beam"),
    "text, sampled": lambda: text_generator("sample"),
}


def check_export(case: str, format: str, folder: Path) -> None:
    model, inputs = EXPORTS[case]()
    artifact = export.export_model(model, folder, format=format, verify=False)
    runtime = export.load_runtime(artifact.path)
    expected, got = written(model, inputs), runtime(inputs)
    for name, value in expected.items():
        # The same numbers in another order of summation.
        np.testing.assert_allclose(got[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("case", ["translator, beam", "text, sampled"])
def test_one_file_writes_the_same_tokens(case: str, tmp_path: Path) -> None:
    check_export(case, "tflite", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("case", EXPORTS)
def test_every_way_of_writing_fits_in_every_format(case: str, format: str, tmp_path: Path) -> None:
    check_export(case, format, tmp_path)


def test_a_generator_that_cannot_be_is_refused() -> None:
    language = randomised(*MODELS["language model, lstm"])
    with pytest.raises(ValueError, match="greedy has no setting 'top_k'; it takes no settings"):
        generator(language, max_length=3, top_k=2)
    with pytest.raises(ValueError, match="way must be 'greedy', 'beam' or 'sample', got 'beem'"):
        generator(language, way="beem", max_length=3)
    with pytest.raises(ValueError, match=r"forbidden tokens are ids below \d+, the size of the vocabulary, got -1"):
        generator(language, max_length=3, forbidden=(2, -1))
    with pytest.raises(ValueError, match="language_model has no input but its tokens: leave start_id out"):
        generator(language, max_length=3, start_id=1)
