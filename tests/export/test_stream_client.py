"""The client of step artifacts takes what fits, and says of the rest what is wrong with it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export


class _Sums:
    """A step of a runtime that would end the process on anything unfit: adds the ids of a pixel's colour."""

    metadata, batch = None, None

    def step(self, inputs: dict[str, Any], states: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        ids, frames, image = inputs["ids"], inputs["frames"], inputs["image"]
        assert (ids.dtype.name, frames.dtype.name, image.dtype.name) == ("int32", "uint8", "float32")
        assert (ids.shape, frames.shape, image.shape) == ((2, 1), (2, 1, 3), (2, 4))
        if ids.max() > 9:
            raise RuntimeError("no such id\nin node 3")
        after = {"sum": states["sum"] + ids + frames.sum(-1) + image.sum(-1, keepdims=True)}
        return {"y": after["sum"]}, after


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> Any:
    def port(name: str, dtype: str, *axes: int | str) -> dict[str, Any]:
        return {"name": name, "dtype": dtype, "axes": ["batch", *axes]}

    info = {
        "inputs": [port("ids", "int32", "time"), port("frames", "uint8", "time", 3), port("image", "float32", 4)],
        "outputs": [port("y", "float32", "time")],
        "stream": {
            "inputs": ["ids", "frames"],
            "states": [{"name": "sum", "dtype": "float32", "shape": [1], "initial": 0.0}],
            "outputs": {"y": {"warmup": 0, "steps_per_hop": 1}},
            "chunk": 1,
        },
    }
    monkeypatch.setattr("export.stream.load_step", lambda path, threads: (_Sums(), info))
    return lambda **options: export.Stream("sums.onnx", **{"batch": 2, "context": {"image": np.ones(4)}, **options})


def test_whole_numbers_of_any_size_are_taken(sums: Any) -> None:
    ids, frames = np.arange(6, dtype="int64").reshape(2, 3), np.ones((2, 3, 3), "int32")
    np.testing.assert_array_equal(sums().feed(ids=ids, frames=frames)["y"], np.cumsum(ids + 7, axis=1))


def test_a_runtime_that_fails_is_said_in_a_line_and_the_stream_goes_on(sums: Any) -> None:
    stream, frames = sums(), np.zeros((2, 1, 3), "int32")
    assert stream.feed(ids=[[1], [1]], frames=frames)["y"].tolist() == [[5], [5]]
    with pytest.raises(export.ArtifactError, match=r"^sums.onnx failed to run: no such id$"):
        stream.feed(ids=[[1, 10], [1, 1]], frames=np.zeros((2, 2, 3), "int32"))
    assert stream.feed(ids=[[1], [1]], frames=frames)["y"].tolist() == [[10], [10]]


@pytest.mark.parametrize(
    ("options", "feeds", "words"),
    [
        ({"batch": 0}, {}, "batch=0 must be a whole number of at least 1"),
        ({"context": None}, {}, "needs the input 'image' besides"),
        ({"context": {"image": np.ones(4), "picture": 1}}, {}, "takes no 'picture' as context; it takes .'image'."),
        ({"context": {"image": np.ones(3)}}, {}, r"wants 'image' as float32 of shape \(4\).*of shape \(3,\)"),
        ({"context": {"image": np.ones((3, 4))}}, {}, r"with batch 2 before it, not float64 of shape \(3, 4\)"),
        ({"context": {"image": np.ones(4, bool)}}, {}, "not bool of shape"),
        ({}, {"ids": 5}, r"wants 'ids' as int32 of shape \(steps\).*not int64 of shape \(\)|not int32 of shape \(\)"),
        ({}, {"ids": np.ones((2, 3))}, "not float64 of shape"),
        ({}, {"ids": np.ones((3, 2), "int32")}, r"with batch 2 before it, not int32 of shape \(3, 2\)"),
        ({}, {"frames": np.ones((2, 2, 4), "uint8")}, r"wants 'frames' as uint8 of shape \(steps, 3\)"),
        ({}, {"frames": np.ones((2, 2, 3), "float32")}, "not float32"),
    ],
)
def test_nothing_unfit_reaches_the_step(options: Any, feeds: Any, words: str, sums: Any) -> None:
    fit = {"ids": np.ones((2, 2), "int32"), "frames": np.ones((2, 2, 3), "uint8")}
    with pytest.raises(export.ArtifactError, match=words):
        sums(**options).feed(**{**fit, **feeds})


@pytest.mark.parametrize("fmt", ["onnx", "saved_model"])
def test_steps_with_an_open_axis_of_their_own(fmt: str, tmp_path: Path) -> None:
    """Windows of any length, one a step: LiteRT, which fixes each size, is left out."""
    x = keras.Input((None, None, 3), name="x")
    model = keras.Model(
        x, keras.layers.GRU(2, return_sequences=True)(keras.layers.TimeDistributed(keras.layers.LSTM(4))(x))
    )
    stream = export.Stream(export.export_model(model, tmp_path, fmt, streaming=True, chunk=2).path)
    windows = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    (nothing,) = stream.feed(windows[:1]).values()
    assert nothing.shape == (0, 2)
    (rest,) = stream.feed(windows[1:]).values()
    np.testing.assert_allclose(rest, model(windows[np.newaxis])[0], atol=1e-5)
    with pytest.raises(export.ArtifactError, match=r"of shape \(steps, \w+, 3\)"):
        stream.feed(np.zeros((2, 3), "float32"))
