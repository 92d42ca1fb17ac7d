"""Models that write sequences as one file each: token by token what `zoo.decoding` writes in Keras."""

import functools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
import zoo
from export import graph
from recipes import cli
from tests.zoo.test_stepping import MODELS, given, randomised
from zoo import decoding
from zoo.generation import generator

CASES = {
    "text": "language model, lstm",
    "captions": "captioner",
    "translation": "encoder-decoder, both",
    "attention": "attention",
    "input feeding": "attention, feeding, GRU",
}
FORMATS = tuple(export.FORMATS)
END, LENGTH = 2, 9
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"beam_width": 3, "n_best": 2, "length_penalty": 0.6},
    "sample": {"top_k": 5, "top_p": 0.95},
}
PROMPTS = np.array([[1, 3, 4], [0, 5, 6], [1, 0, 0]], "int32")
SEEDS = np.array([7, -8, 2**31 - 1], "int32")
TEMPERATURES = np.array([1.0, 0.0, 2.5], "float32")
LIMITS = np.array([LENGTH, 4, 40], "int32")
WORDS = ["", "<s>", "</s>", "the", "sea", "is", "deep"]
METADATA = {"vocabulary": WORDS, "tokenisation": "words", "start_id": 1, "end_id": END}


@functools.cache
def model_of(case: str) -> keras.Model:
    return randomised(*MODELS[CASES[case]])


def generator_of(case: str, way: str) -> keras.Model:
    start = None if case == "text" else 1
    return generator(model_of(case), way=way, max_length=LENGTH, start_id=start, end_id=END, limited=True, **WAYS[way])


def inputs_of(case: str, way: str) -> dict[str, np.ndarray]:
    inputs = {"token_ids": PROMPTS} if case == "text" else given(model_of(case))[0]
    controls = {"seed": SEEDS, "temperature": TEMPERATURES} if way == "sample" else {}
    return {**inputs, "max_tokens": LIMITS, **controls}


@functools.cache
def expected_of(case: str, way: str) -> dict[str, np.ndarray]:
    """What the parts of `zoo.decoding` write, called one by one."""
    step, inputs = decoding.Stepper(model_of(case)), inputs_of(case, way)
    if case == "text":
        first, states = decoding.prime(step, PROMPTS, step.start(batch_size=3))
    else:
        states = step.start({k: v for k, v in inputs.items() if k not in ("max_tokens", "seed", "temperature")})
        first = np.ones(3, "int32")
    options: dict[str, Any] = {"max_length": LENGTH, "end_id": END, "limits": LIMITS, **WAYS[way]}
    if way == "sample":
        options |= {"seed": SEEDS, "temperature": TEMPERATURES}
    decode = {"greedy": decoding.greedy, "beam": decoding.beam_search, "sample": decoding.sample}[way]
    found = {name: np.asarray(value) for name, value in decode(step, first, states, **options)._asdict().items()}
    found["generated_ids"] = found.pop("token_ids")
    return found | ({"next_seed": found.pop("seed")} if way == "sample" else {})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(case, way, format) -> the artifact, exported once."""

    @functools.cache
    def write(case: str, way: str, format: str) -> Path:
        folder = tmp_path_factory.mktemp("written")
        model = generator_of(case, way)
        return export.export_model(model, folder, format=format, metadata=METADATA, verify=False).path

    return write


def check(path: Path, case: str, way: str) -> None:
    expected, runtime, inputs = expected_of(case, way), export.load_runtime(path), inputs_of(case, way)
    got = runtime(inputs)
    assert set(got) == set(expected)
    for name, value in expected.items():
        assert got[name].dtype == value.dtype
        if value.dtype.kind == "i":
            np.testing.assert_array_equal(got[name], value, err_msg=name)
        else:
            np.testing.assert_allclose(got[name], value, atol=2e-5, rtol=1e-5, err_msg=name)
    assert np.unique(expected["lengths"]).size > 1
    one = runtime({name: array[1:2] for name, array in inputs.items()})  # the batch is open, rows are independent
    np.testing.assert_array_equal(one["generated_ids"], expected["generated_ids"][1:2])
    if path.suffix != ".saved_model":
        assert not graph.foreign(graph.op_histogram(path))


SOME = [
    ("text", "sample", "onnx"),
    ("text", "greedy", "tflite"),
    ("text", "beam", "onnx"),
    ("attention", "beam", "tflite"),
    ("captions", "greedy", "tflite"),
    ("translation", "greedy", "saved_model"),
]
REST = [(c, w, f) for c in CASES for w in WAYS for f in FORMATS if (c, w, f) not in SOME]


@pytest.mark.parametrize(("case", "way", "format"), SOME)
def test_a_file_writes_what_keras_writes(written: Any, case: str, way: str, format: str) -> None:
    check(written(case, way, format), case, way)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "way", "format"), REST)
def test_every_file_writes_what_keras_writes(written: Any, case: str, way: str, format: str) -> None:
    check(written(case, way, format), case, way)


@pytest.mark.parametrize(
    ("way", "format"), [("greedy", "tflite"), *[pytest.param("sample", f, marks=pytest.mark.slow) for f in FORMATS]]
)
def test_the_export_proves_it(way: str, format: str, tmp_path: Path) -> None:
    report = export.export_model(generator_of("text", way), tmp_path, format=format).report
    assert report is not None
    assert report.passed
    assert {output.name: output.max_abs for output in report.outputs}["generated_ids"] == 0


def test_a_wrong_token_is_found(written: Any) -> None:
    model = keras.models.clone_model(model_of("text"))
    model.set_weights([-weight for weight in model_of("text").get_weights()])
    other = generator(model, way="greedy", max_length=LENGTH, end_id=END, limited=True)
    report = export.verify(other, written("text", "greedy", "tflite"), batch=(2,), time=(4,))
    assert not report.passed
    assert any("generated_ids" in miss for miss in report.misses)


def echoing() -> keras.Model:
    """After token 3 comes the end; after any other the same token, for ever."""
    model = zoo.create_model("markov", vocabulary=6)
    table = 9.0 * np.eye(6, dtype="float32")
    table[3, END] = 99.0
    model.get_layer("logits").set_weights([table])
    return generator(model, way="greedy", max_length=400, end_id=END)


def test_the_loop_ends_with_its_rows(tmp_path: Path) -> None:
    import onnxruntime

    ends, goes_on = (np.array([[3], [last]], "int32") for last in (3, 4))
    onnx = export.export_model(echoing(), tmp_path, format="onnx", verify=False).path
    tflite = export.load_runtime(export.export_model(echoing(), tmp_path, format="tflite", verify=False).path)
    steps, seconds = [], []
    for prompts in (ends, goes_on):
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
        session = onnxruntime.InferenceSession(str(onnx), options)
        session.run(None, {"token_ids": prompts})
        events = json.loads(Path(session.end_profiling()).read_text())
        steps.append(sum(event.get("args", {}).get("op_name") == "LogSoftmax" for event in events))
        calls = []
        for _ in range(5):
            start = time.thread_time()
            lengths = tflite({"token_ids": prompts})["lengths"]
            calls.append(time.thread_time() - start)
        assert lengths.tolist() == [1, 1 if prompts is ends else 400]
        seconds.append(min(calls))
    assert steps == [1, 400]
    assert seconds[1] > 4 * seconds[0]


CLIENT = """
import json, sys, export
found = {}
for path in sys.argv[1:]:
    write = export.TextGenerator(path)
    options = {"seed": 5, "temperature": 1.5, "max_tokens": 7}
    found[path] = [(w.text, w.score, w.token_ids) for w in write.n_best("the sea", **options)]
assert not {"tensorflow", "keras", "onnx"} & set(sys.modules), sorted(sys.modules)
print(json.dumps(list(found.values())))
"""


def test_text_in_text_out_without_tensorflow(written: Any) -> None:
    paths = [str(written("text", "sample", format)) for format in ("tflite", "onnx")]
    done = subprocess.run([sys.executable, "-c", CLIENT, *paths], check=True, capture_output=True, text=True)
    tflite, onnx = json.loads(done.stdout)
    prompt = {"token_ids": np.array([[1, 3, 4]], "int32"), "max_tokens": np.array([7], "int32")}
    draw = {"seed": np.array([5], "int32"), "temperature": np.array([1.5], "float32")}
    expected = {name: np.asarray(value) for name, value in generator_of("text", "sample")({**prompt, **draw}).items()}
    ids = expected["generated_ids"][0, : expected["lengths"][0]].tolist()
    for ((text, score, token_ids),) in (tflite, onnx):
        assert token_ids == ids
        assert text == " ".join(WORDS[i] for i in ids if i != END)
        assert score == pytest.approx(expected["log_probabilities"][0], abs=1e-4)


def test_a_beam_gives_several_texts(written: Any) -> None:
    write = export.TextGenerator(written("attention", "beam", "tflite"))
    best, second = write.n_best("the sea is deep")
    assert best.score >= second.score
    assert best.text != second.text
    assert write("the sea is deep") == best.text
    source = {"encoder_token_ids": np.array([[3, 4, 5, 6]], "int32")}
    expected = generator_of("attention", "beam")({**source, "max_tokens": LIMITS[:1]})
    assert best.score == pytest.approx(float(expected["scores"][0, 0]), abs=1e-4)


def test_a_picture_in_text_out(written: Any) -> None:
    write = export.TextGenerator(written("captions", "greedy", "tflite"))
    (name,) = [name for name in inputs_of("captions", "greedy") if name != "max_tokens"]
    picture = inputs_of("captions", "greedy")[name][1]
    length = expected_of("captions", "greedy")["lengths"][1]
    ids = expected_of("captions", "greedy")["generated_ids"][1, :length]
    assert write(**{name: picture}, max_tokens=4) == " ".join(WORDS[i] for i in ids if i != END)
    with pytest.raises(export.ArtifactError, match=f"needs input '{name}'"):
        write()
    with pytest.raises(export.ArtifactError, match=r"has room for .* tokens; max_tokens is 500"):
        write(**{name: picture}, max_tokens=500)


def test_the_command_writes(written: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written("text", "sample", "tflite"))
    options = {"seed": 5, "temperature": 1.5, "max_tokens": 7}
    words = ["generate", path, "--prompt", "the sea", "--seed", "5", "--temperature", "1.5", "--max-tokens", "7"]
    (expected,) = export.TextGenerator(path).n_best("the sea", **options)
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"{expected.text}\n"
    assert cli.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["token_ids"] == list(expected.token_ids)
    assert cli.main(["generate", path, "--prompt", "the dep"]) == 1
    assert "did you mean 'deep'" in capsys.readouterr().err
    captions, (name,) = (
        str(written("captions", "greedy", "tflite")),
        set(inputs_of("captions", "greedy")) - {"max_tokens"},
    )
    np.savez(tmp_path / "picture.npz", **{name: inputs_of("captions", "greedy")[name][1]})
    assert cli.main(["generate", captions, "--inputs", str(tmp_path / "picture.npz")]) == 0
    assert capsys.readouterr().out.strip()
    (tmp_path / "not.npz").write_text("no arrays")
    assert cli.main(["generate", captions, "--inputs", str(tmp_path / "not.npz")]) == 1
    assert "not.npz as an .npz file of arrays" in capsys.readouterr().err


def test_what_the_client_cannot_do_it_says(written: Any, tmp_path: Path) -> None:
    path = written("text", "greedy", "tflite")
    write = export.TextGenerator(path)
    with pytest.raises(export.ArtifactError, match="does not know the token 'dep'; did you mean 'deep'"):
        write("the dep")
    with pytest.raises(export.ArtifactError, match="does not know the token 'qqq'; its 7 tokens are ''"):
        write("qqq")
    with pytest.raises(export.ArtifactError, match="needs a text: its input 'token_ids'"):
        write()
    with pytest.raises(export.ArtifactError, match="has no input 'picture'"):
        write("the", picture=np.zeros(3))
    model = generator_of("text", "greedy")
    for metadata, message in [
        ({}, "has no 'vocabulary' in its metadata; export it with metadata="),
        ({"vocabulary": {"a": 1}, "tokenisation": "words"}, "has no list of texts as 'vocabulary'"),
        ({"vocabulary": WORDS, "tokenisation": "letters"}, "says tokenisation 'letters'"),
    ]:
        bare = export.export_model(model, tmp_path, format="tflite", metadata=metadata, verify=False)
        with pytest.raises(export.ArtifactError, match=message):
            export.TextGenerator(bare)
    silent = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(export.ArtifactError, match="writes no sequences: it has no output 'generated_ids'"):
        export.TextGenerator(export.export_model(silent, tmp_path, format="onnx", verify=False))


@pytest.mark.parametrize("format", FORMATS)
def test_whole_numbers_are_divided_alike(format: str, tmp_path: Path) -> None:
    inputs = keras.Input((None,), dtype="int32", name="x")
    outputs = {"quotient": keras.ops.floor_divide(inputs, 7), "remainder": keras.ops.mod(inputs, 7)}
    path = export.export_model(keras.Model(inputs, outputs), tmp_path, format=format, verify=False).path
    x = np.array([[-15, -14, -8, -1, 0, 6, 7, 15, 2**31 - 1, -(2**31) + 7]], "int32")
    got = export.load_runtime(path)({"x": x})
    np.testing.assert_array_equal(got["quotient"], x // 7)
    np.testing.assert_array_equal(got["remainder"], x % 7)


def test_characters_and_a_token_for_the_unknown(tmp_path: Path) -> None:
    vocabulary = ["", "^", "$", "a", "b", "?", " "]
    metadata = {"vocabulary": vocabulary, "tokenisation": "characters", "unknown_id": 5, "end_id": END}
    model = generator(model_of("text"), way="greedy", max_length=LENGTH, end_id=END)
    write = export.TextGenerator(export.export_model(model, tmp_path, format="tflite", metadata=metadata, verify=False))
    found = model({"token_ids": np.array([[3, 6, 5]], "int32")})
    ids = np.asarray(found["generated_ids"])[0, : int(found["lengths"][0])]
    assert write("a x") == "".join(vocabulary[i] for i in ids if i != END)
