"""What fewer bits may cost: the task's metric, drift over a stream, calibration data in every form."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
from export.calibration import calibration_feeds
from export.formats import FORMATS, Tolerance
from export.ports import Port
from export.quality import metric_drop
from export.verify_report import OutputReport, compare_output
from tests.export.judging import SUFFIXES, plain_runtime
from tests.export.test_quantization import convolutional, inputs

L = keras.layers
Arrays = dict[str, np.ndarray]


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "points"),
    [
        ("accuracy", 0.97, 0.96, 1.0),
        ("accuracy", 97.0, 96.03, 1.0),
        ("accuracy", 0.5, 0.6, -10.0),
        ("loss", 0.02, 0.03, 50.0),
        ("val_mae", 2.0, 2.02, 1.0),
        ("perplexity", 10.0, 9.0, -10.0),
        ("smalle", 0.9, 0.8, 10.0),  # "mse", "mae" ... count as words only
        ("accuracy", 0.9, float("nan"), float("inf")),
        ("accuracy", float("nan"), float("nan"), 0.0),
    ],
)
def test_points(name: str, ours: float, theirs: float, points: float) -> None:
    assert metric_drop(name, ours, theirs) == pytest.approx(points)


@pytest.fixture(scope="module")
def trained() -> tuple[keras.Model, Arrays, np.ndarray, Arrays, np.ndarray]:
    """A small LSTM that tells which of four channels sums up to the most; and unseen examples."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[Arrays, np.ndarray]:
        x = rng.normal(size=(count, 12, 4)).astype("float32")
        return {"features": x}, x.sum(axis=1).argmax(-1)

    (train, labels), (test, truth) = draw(2000), draw(400)
    x = keras.Input((None, 4), name="features")
    model = keras.Model(x, L.Dense(4, name="logits")(L.LSTM(32, name="lstm")(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(train["features"], labels, epochs=6, batch_size=100, verbose=0)
    return model, train, labels, test, truth


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("fmt", ["tflite", "onnx"])
def test_a_trained_model_keeps_its_accuracy(fmt: str, precision: str, trained: Any, tmp_path: Path) -> None:
    model, train, _, test, truth = trained
    evaluate = export.evaluate_on(test, truth)
    path = tmp_path / f"m{SUFFIXES[fmt]}"
    artifact = export.export_model(
        model, path, precision=precision, calibration={"features": train["features"][:64]}, evaluate=evaluate
    )
    logits = np.asarray(model(test["features"]))
    ours = float(np.mean(logits.argmax(-1) == truth))
    theirs = float(np.mean(plain_runtime(path)(test)["logits"].argmax(-1) == truth))
    assert ours > 0.8
    assert abs(ours - theirs) <= 0.01
    assert artifact.report.metrics["keras"] == {"accuracy": ours}
    # In ONNX's integer LSTM the batch shares one scale, so the size of the batches shows.
    assert artifact.report.metrics["artifact"]["accuracy"] == pytest.approx(theirs, abs=0.01)
    assert "data, part 2" in artifact.report.cases


def test_a_lost_metric_fails_the_export_unless_told_otherwise(trained: Any, tmp_path: Path) -> None:
    model, *_, test, truth = trained
    seen = []

    def evaluate(predict: Any) -> dict[str, float]:
        seen.append(predict(test)["logits"].shape)
        return {"score": 0.9 if len(seen) % 2 else 0.88}  # the model is asked first, then the artifact

    path = tmp_path / "m.tflite"
    with pytest.raises(
        export.VerificationError, match=r"score is 0.88, the model's 0.9: 2 points worse, 1 are allowed"
    ):
        export.export_model(model, path, precision="int8", evaluate=evaluate)
    assert list(tmp_path.iterdir()) == []
    assert export.export_model(model, path, precision="int8", evaluate=evaluate, max_metric_drop=2.5).report.passed
    report = export.export_model(model, path, precision="int8", evaluate=evaluate, max_metric_drop=None).report
    assert report.passed
    assert report.metrics["artifact"] == {"score": 0.88}
    assert seen == [(len(truth), 4)] * 6


def test_values_that_are_too_far_fail_the_export_unless_told_otherwise(tmp_path: Path) -> None:
    """Without a metric the table's bound judges; calibration that has nothing to do with the data shows."""
    model = convolutional()
    narrow = {"features": inputs(model)["features"] * 1e-3}
    wide = inputs(model)
    path = export.export_model(model, tmp_path / "m.tflite", precision="int8_full", calibration=narrow).path
    report = export.verify(model, path, data=wide)
    assert not report.passed
    assert "25% are allowed" in report.misses[0]
    assert export.verify(model, path, data=wide, max_metric_drop=None).passed


def test_the_bound_is_on_a_case_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    want = rng.normal(size=(8, 50))
    noise = rng.normal(size=want.shape)
    noise *= np.linalg.norm(want) / np.linalg.norm(noise)
    bound = Tolerance(0.0, 0.0, relative=0.1)
    for share, passes in ((0.099, True), (0.101, False)):
        report = OutputReport("y", bound)
        assert (compare_output(report, want, want + share * noise) == "") is passes
        assert report.relative == pytest.approx(share)
    assert compare_output(OutputReport("y", bound), want, np.where(want > 2, np.nan, want)) != ""
    ids = rng.integers(0, 9, (100,))
    turned = np.concatenate([ids[:5] + 1, ids[5:]])
    assert compare_output(OutputReport("y", bound), ids, turned) == ""
    assert compare_output(OutputReport("y", Tolerance(0.0, 0.0, relative=0.04)), ids, turned) != ""
    assert compare_output(OutputReport("y", FORMATS["onnx"].tolerance["float32"]), ids, turned) != ""


PORTS = [Port("a", (None, None, 2), "float32"), Port("ids", (None, 3), "int32")]


def _arrays(count: int = 4) -> Arrays:
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=(count, 5, 2)).astype("float32"), "ids": rng.integers(0, 9, (count, 3), "int32")}


def test_calibration_data_in_every_form(tmp_path: Path) -> None:
    arrays = _arrays()
    np.savez(tmp_path / "data.npz", **arrays)
    rows = [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(4)]
    for form in (arrays, str(tmp_path / "data.npz"), tmp_path / "data.npz", rows, iter(rows)):
        feeds = calibration_feeds(form, PORTS)
        assert len(feeds) == 4
        for feed, row in zip(feeds, rows, strict=True):
            assert all(np.array_equal(feed[name], row[name]) for name in row)
    static = [Port("a", (2, None, 2), "float32"), Port("ids", (2, 3), "int32")]
    assert [feed["a"].shape for feed in calibration_feeds(_arrays(5), static)] == [(2, 5, 2)] * 2


BROKEN = {
    r"'ids' is missing": lambda a: {"a": a["a"]},
    r"no input 'more'": lambda a: {**a, "more": a["a"]},
    r"float64; convert it with .astype\('float32'\)": lambda a: {**a, "a": a["a"].astype("float64")},
    r"not of shape \(1, 5, 3\)": lambda a: {**a, "a": np.ones((4, 5, 3), "float32")},
    r"not finite": lambda a: {**a, "a": np.full((4, 5, 2), np.nan, "float32")},
    r"different numbers": lambda a: {**a, "ids": a["ids"][:2]},
    r"no example": lambda a: {name: array[:0] for name, array in a.items()},
    r"several shapes \(\(1, 2, 2\), \(1, 5, 2\)\)": lambda a: [
        {"a": a["a"][:1, :time], "ids": a["ids"][:1]} for time in (5, 2)
    ],
}


@pytest.mark.parametrize("text", BROKEN)
def test_broken_calibration_data(text: str) -> None:
    with pytest.raises(export.QuantizationError, match=text):
        calibration_feeds(BROKEN[text](_arrays()), PORTS)


@pytest.mark.parametrize("content", ["no archive", "object", "text", "missing"])
def test_a_calibration_file_that_is_none(content: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    if content == "no archive":
        path.write_bytes(b"PK no archive")
    elif content == "object":
        np.savez(path, a=np.array([{"code": 1}], dtype=object))
    elif content == "text":
        with zipfile.ZipFile(path, "w") as archive:  # as a .keras file is one
            archive.writestr("config.json", "{}")
    with pytest.raises(export.QuantizationError, match=r"cannot read '.*data.npz' as an .npz file: .*numpy.savez"):
        calibration_feeds(path, PORTS)


def _leaky(gain: float, bias: float) -> Any:
    """state <- gain * state + x, plus what a step of fewer bits adds to it."""

    def step(inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
        state = gain * states["s"] + inputs["x"] + bias
        return {"y": state}, {"s": state}

    return step


def test_drift_tells_a_settled_error_from_a_growing_one() -> None:
    rng = np.random.default_rng(0)
    sequence = [{"x": rng.normal(size=(1, 6))} for _ in range(1000)]
    start = {"s": np.zeros((1, 6))}
    same = export.measure_drift(_leaky(0.9, 0.0), _leaky(0.9, 0.0), sequence, start)
    assert same.bounded
    assert same.outputs[0].largest == 0.0
    settled = export.measure_drift(_leaky(0.9, 0.0), _leaky(0.9, 0.01), sequence, start)
    assert settled.bounded
    size = float(np.sqrt(np.mean(np.square(_run(_leaky(0.9, 0.0), sequence, start)))))
    assert settled.outputs[0].last == pytest.approx(0.01 / (1 - 0.9) / size, rel=1e-3)  # the geometric series
    assert settled.outputs[0].steps == 1000
    growing = export.measure_drift(_leaky(1.0, 0.0), _leaky(1.0, 0.01), sequence, start)
    assert not growing.bounded
    assert "GROWING" in str(growing)
    broken = export.measure_drift(_leaky(0.9, 0.0), _leaky(0.9, float("nan")), sequence, start)
    assert broken.outputs[0].largest == float("inf")
    assert not broken.bounded
    with pytest.raises(ValueError, match="at least 20"):
        export.measure_drift(_leaky(1.0, 0.0), _leaky(1.0, 0.0), sequence[:5], start)


def test_inputs_that_are_harder_at_the_end_are_no_drift() -> None:
    rng = np.random.default_rng(0)
    sequence = [{"x": rng.normal(size=(1, 6)) * (10.0 if t >= 900 else 1.0)} for t in range(1000)]
    start = {"s": np.zeros((1, 6))}

    def coarse(inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
        return _leaky(0.9, 0.0)({"x": 1.01 * inputs["x"]}, states)

    (output,) = export.measure_drift(_leaky(0.9, 0.0), coarse, sequence, start).outputs
    assert output.last > 5 * output.first
    assert output.last > 2 * output.mean
    assert output.anew == pytest.approx(output.last, rel=0.1)
    assert not output.grows
    kept = [{"x": np.ones((1, 6))} for _ in range(1000)]
    (output,) = export.measure_drift(_leaky(1.0, 0.0), _leaky(1.0, 0.01), kept, start).outputs
    assert output.last > 10 * output.anew
    assert output.grows


def _run(step: Any, sequence: list[Arrays], states: Arrays) -> np.ndarray:
    outputs = []
    for inputs_ in sequence:
        y, states = step(inputs_, states)
        outputs.append(y["y"])
    return np.stack(outputs)


def test_step_feeds_hold_the_states_that_the_step_meets() -> None:
    sequence = [{"x": np.full((1, 1), float(i))} for i in range(4)]
    feeds = export.step_feeds(_leaky(1.0, 0.0), sequence, {"s": np.zeros((1, 1))}, rename=lambda name: f"{name}_in")
    assert [feed["x"].item() for feed in feeds] == [0, 1, 2, 3]
    assert [feed["s_in"].item() for feed in feeds] == [0, 0, 1, 3]


def test_metrics() -> None:
    one_hot = np.eye(3)[[0, 2, 1, 1]]
    predict = {"y": np.array([[3, 1, 0], [0, 1, 2], [0, 3, 1], [5, 1, 1]], "float32")}
    batches = []

    def run(feed: Any) -> Arrays:
        batches.append(len(feed["i"]))
        return {"y": predict["y"][feed["i"]]}

    index = {"i": np.arange(4)}
    for targets in (np.array([0, 2, 1, 1]), one_hot):
        assert export.evaluate_on(index, targets)(run) == {"accuracy": 0.75}
    assert export.evaluate_on(index, predict["y"] + 2, "mae")(run) == {"mae": 2.0}
    assert export.evaluate_on(index, predict["y"] + 2, "mse", output="y")(run) == {"mse": 4.0}
    halves = export.evaluate_on({"i": np.arange(3)}, np.array([1, 0, 1]))
    assert halves(lambda feed: {"p": np.array([[0.9], [0.2], [0.3]])})["accuracy"] == pytest.approx(2 / 3)
    with pytest.raises(export.ExportError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        export.evaluate_on(index, one_hot, "acuracy")
    with pytest.raises(export.ExportError, match="different numbers"):
        export.evaluate_on(index, one_hot[:2])
    with pytest.raises(export.ExportError, match="unknown output 'z'"):
        export.evaluate_on(index, one_hot, output="z")(run)
