"""`seqzoo generate RUN`: text as it comes, the same as the exported file's."""

import contextlib
import io
import itertools
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import recipes
import zoo
from recipes import cli, run_folder
from recipes.errors import UsageError
from recipes.judging import keras_predict
from recipes.recipe import configure
from recipes.writing import Writer
from zoo.generation import generator

LETTERS = ["<pad>", "<unk>", "<s>", "</s>", "\n", *"abcde"]
INFO = {"vocabulary": LETTERS, "tokenisation": "characters", "start_id": 4}


@pytest.fixture(scope="module")
def model():
    return zoo.create_model("language_model", vocabulary=len(LETTERS), units=(8, 5), embedding=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """A run that is finished, as far as writing goes."""
    path = tmp_path_factory.mktemp("runs") / "letters"
    return finished(path, "language_model", model, INFO)


def finished(path, name, model, info):
    run_folder.begin(name, path, {}, resume=False, overwrite=False)
    model.save(path / "model.keras")
    (path / "exports").mkdir()
    manifest = {"artifacts": {"model.onnx": {"format": "onnx", **info}}}
    (path / "exports" / "manifest.json").write_text(json.dumps(manifest))
    return path


def generate(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["generate", *map(str, words)])
    return code, out.getvalue(), err.getvalue()


def test_it_draws_what_the_generator_draws(model):
    write, runtime = Writer(model, INFO), keras_predict(generator(model, way="sample", max_length=12))
    rows = [(seed, heat) for seed in (0, 7) for heat in (0.0, 0.6, 1.0)]
    found = runtime({
        "token_ids": np.repeat(write.read_prompt("abc"), len(rows), axis=0),
        "seed": np.array([seed for seed, _ in rows]),
        "temperature": np.array([heat for _, heat in rows]),
    })  # fmt: skip
    for (seed, heat), ids, log_p in zip(rows, found["generated_ids"], found["log_probabilities"], strict=True):
        tokens = list(write.tokens("abc", seed=seed, temperature=heat, max_tokens=12))
        assert [token.token_id for token in tokens] == ids.tolist()
        assert "".join(token.text for token in tokens) == "".join(LETTERS[token] for token in ids)
        assert sum(token.log_probability for token in tokens) == pytest.approx(float(log_p), rel=1e-4)


def test_log_probabilities_are_the_models_own(model):
    write = Writer(model, INFO)
    tokens = list(write.tokens("ab", seed=3, temperature=0.5, max_tokens=6))
    ids = write.read_prompt("ab")[0].tolist() + [token.token_id for token in tokens]
    scores = np.asarray(model(np.array([ids[:-1]])))[0, 2:].astype("float64")
    log_p = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    expected = [log_p[place, token.token_id] for place, token in enumerate(tokens)]
    np.testing.assert_allclose([token.log_probability for token in tokens], expected, atol=1e-5)


def test_words_stand_apart_and_the_end_ends():
    info = {"vocabulary": ["<pad>", "a", "b", "</s>"], "tokenisation": "words", "end_id": 3, "unknown_id": 2}
    model = zoo.create_model("language_model", vocabulary=4, units=(3,))
    bias = model.get_layer("logits").bias
    bias.assign([0.0, 50.0, 0.0, 0.0])
    assert Writer(model, info)("strange words", max_tokens=3) == "a a a"
    bias.assign([99.0, 0.0, 0.0, 50.0])
    (end,) = Writer(model, info).tokens("a", max_tokens=3)
    # Padding is never written, however likely.
    assert (end.token_id, end.text) == (3, "")


def test_a_source_is_read_and_the_likeliest_text_written():
    model = zoo.create_model(
        "encoder_decoder", source_vocabulary=6, target_vocabulary=7, encoder_units=(5,), decoder_units=(5,)
    )
    info = {
        "vocabulary": ["<pad>", "<unk>", "<s>", "</s>", "x", "y", "z"],
        "source_vocabulary": ["<pad>", "<unk>", "<s>", "</s>", "p", "q"],
        "tokenisation": "words", "start_id": 2, "end_id": 3,
    }  # fmt: skip
    write = Writer(model, info)
    runtime = keras_predict(generator(model, way="greedy", max_length=9, start_id=2, end_id=3))
    found = runtime({"encoder_token_ids": np.array([[4, 5, 5]])})
    ids = found["generated_ids"][0, : found["lengths"][0]]
    assert [token.token_id for token in write.tokens("p q q", max_tokens=9)] == ids.tolist()
    with pytest.raises(UsageError, match="the model has never seen 'x'"):
        write("p x")
    with pytest.raises(UsageError, match="needs a text to read"):
        write()


def test_other_inputs_come_by_name():
    model = zoo.create_model("vector_to_sequence", features=3, vocabulary=len(LETTERS), units=(4,))
    other = next(tensor.name for tensor in model.inputs if tensor.name != "token_ids")
    write = Writer(model, INFO)
    texts = [write(inputs={other: vector}, max_tokens=20) for vector in (np.ones(3), np.ones((1, 3)), -9 * np.ones(3))]
    assert texts[0] == texts[1] != texts[2]
    for inputs, words in (
        ({}, f"also reads '{other}'"),
        ({other: np.ones(2)}, r"has the shape \(3,\), got \(1, 2\)"),
        ({other: np.ones(3), "strange": np.ones(1)}, f"has no input 'strange'; it has '{other}'"),
    ):
        with pytest.raises(UsageError, match=words):
            write(inputs=inputs)


def test_a_label_stands_for_its_vector():
    model = zoo.create_model("vector_to_sequence", features=3, vocabulary=len(LETTERS), units=(4,))
    write = Writer(model, {**INFO, "labels": ["Czech", "Dutch", "Greek"]})
    assert write(label="Dutch", max_tokens=9) == write(inputs={"vector": np.array([0, 1, 0])}, max_tokens=9)
    with pytest.raises(UsageError, match=r"has no label 'dutch'; did you mean 'Dutch'\?"):
        write(label="dutch")
    with pytest.raises(UsageError, match=r"give its label with --label, or the array in an \.npz file"):
        write()


def test_each_token_is_shown_at_once(folder, model, monkeypatch):
    events = []

    class Terminal(io.StringIO):
        def write(self, text):
            events.append(text)
            return len(text)

        def flush(self):
            events.append(None)

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert cli.main(["generate", str(folder), "--prompt", "ab", "--max-tokens", "5", "--seed", "2"]) == 0
    monkeypatch.undo()
    shown = [event for event in events if event is not None]
    assert "".join(shown) == Writer(model, INFO)("ab", max_tokens=5, seed=2) + "\n"
    letters = [place for place, event in enumerate(events) if event]
    # Between a token and the next there is a flush.
    assert all(None in events[one:other] for one, other in itertools.pairwise(letters))


def test_ctrl_c_leaves_what_was_written(folder, model):
    command = [sys.executable, "-m", "recipes.cli", "generate", str(folder), "--prompt", "ab"]
    process = subprocess.Popen(
        [*command, "--max-tokens", "100000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    first = process.stdout.read(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    text = (first + out).decode()
    assert process.returncode == 130
    assert text.endswith("\n")
    assert text[:-1].startswith(Writer(model, INFO)("ab", max_tokens=4)[:3])
    assert err == b""


def test_ctrl_c_ends_json_too(folder, monkeypatch):
    tokens = Writer.tokens

    def stopped(self, *args, **options):
        for place, token in enumerate(tokens(self, *args, **options)):
            if place == 2:
                raise KeyboardInterrupt
            yield token

    monkeypatch.setattr(Writer, "tokens", stopped)
    code, out, err = generate(folder, "--prompt", "ab", "--json")
    (written,) = json.loads(out)
    assert (code, err) == (130, "")
    assert len(written["token_ids"]) == 2
    assert written["text"] == "".join(LETTERS[token] for token in written["token_ids"])
    assert written["score"] < 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--prompt", "abéa?"], 2, "has never seen 'é', '?'; it knows 10 tokens"),
        (["--temperature", "-1"], 2, "--temperature must be a number, at least 0; got -1"),
        (["--temperature", "nan"], 2, "--temperature must be a number, at least 0; got nan"),
        (["--max-tokens", "0"], 2, "--max-tokens must be at least 1; got 0"),
        (["--label", "Greek"], 2, "reads no label; leave out --label"),
        (["--seed", "-3"], 2, "--seed must be at least 0 and below 2147483648; got -3"),
        (["--inputs", "no.npz"], 1, "cannot read no.npz as an .npz file of arrays"),
    ],
)
def test_nonsense_is_refused_in_one_line(folder, words, code, message):
    found, out, err = generate(folder, *words)
    assert (found, out) == (code, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_other_folders_are_refused_in_one_line(tmp_path, model):
    begun = tmp_path / "begun"
    run_folder.begin("language_model", begun, {}, resume=False, overwrite=False)
    classifier = zoo.create_model("sequence_classifier", features=8, classes=10, units=(3,))
    digits = finished(tmp_path / "digits", "digits", classifier, {"labels": list("0123456789")})
    # A classifier of texts has a vocabulary and logits, but they are no next tokens.
    reader = zoo.create_model("sequence_classifier", vocabulary=len(LETTERS), classes=2, units=(3,))
    texts = finished(tmp_path / "texts", "language_model", reader, INFO)
    for path, message in (
        (tmp_path, f"{tmp_path} is no run's folder: it has no config.json"),
        (tmp_path / "nowhere", "there is no artifact at"),
        (
            begun,
            f"is not finished, it has no model.keras; go on with: seqzoo run language_model --out {begun} --resume",
        ),
        (digits, "writes no text: digits is no recipe that generates"),
        (texts, "writes no text: it scores 2 classes, not the next token"),
    ):
        code, out, err = generate(path, "--prompt", "ab")
        assert code != 0
        assert out == ""
        assert message in err
        assert err.count("\n") == 1


def test_the_recipes_writers_are_the_commands():
    """What a run's report shows is what the command writes."""
    recipe = configure(recipes.get_recipe("python_docs"), {"units": (4,), "embedding": 3})
    data = recipe.load_data()
    write = Writer(recipe.build_model(data), data.metadata)
    for prompt in recipe.PROMPTS:
        assert len(write(prompt, max_tokens=3)) == 3
