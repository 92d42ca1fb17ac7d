"""Bad input to an artifact is a clear error; onnxruntime would abort the whole process on some of it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import export
from export.runtimes import Runtime
from tests.export.judging import FORMATS, SUFFIXES, difference, plain_runtime

GOOD = {"series": np.ones((2, 5, 2), "float32"), "static": np.ones((2, 3), "float32")}
BAD = {
    "wrong rank": ({"series": np.ones((2, 5), "float32")}, "'series'.*shape"),
    "wrong size": ({"series": np.ones((2, 5, 9), "float32")}, "'series'.*shape"),
    "wrong dtype": ({"series": np.ones((2, 5, 2))}, r"'series' as float32.*float64.*astype"),
    "batch 0": (
        {"series": np.ones((0, 5, 2), "float32"), "static": np.ones((0, 3), "float32")},
        "at least one element",
    ),
    "time 0": ({"series": np.ones((2, 0, 2), "float32")}, "at least one element"),
    "unknown input": ({"sreies": np.ones(1, "float32")}, "'sreies'.*'series'"),
    "text": ({"static": np.array([["a", "b", "c"]])}, "'static'.*float32"),
    "a scalar": ({"static": np.float32(1)}, "'static'.*shape"),
}


@pytest.fixture(params=FORMATS)
def runtime(request: Any, artifact_of: Any) -> Runtime:
    return export.load_runtime(artifact_of("regressor", request.param).path)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_clear_error(case: str, runtime: Runtime) -> None:
    changed, pattern = BAD[case]
    with pytest.raises(export.ArtifactError, match=pattern) as caught:
        runtime({**GOOD, **changed})
    assert runtime.path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(runtime(GOOD)) == {"mean", "summary"}  # and it still works


def test_a_missing_input_is_named(runtime: Runtime) -> None:
    with pytest.raises(export.ArtifactError, match="'static'"):
        runtime({"series": GOOD["series"]})


def test_batches_that_do_not_agree(runtime: Runtime) -> None:
    with pytest.raises(export.ArtifactError):
        runtime({**GOOD, "static": np.ones((3, 3), "float32")})


def test_a_runtime_is_a_function_of_its_arrays(runtime: Runtime) -> None:
    """Not contiguous, lists, another order, called twice: the same answer, and the inputs stay as they were."""
    series = np.random.default_rng(0).normal(size=(2, 2, 5)).astype("float32")
    given = {"static": GOOD["static"], "series": series.transpose(0, 2, 1)}
    kept = series.copy()
    first, second = runtime(given), runtime(given)
    other = runtime({"series": np.ascontiguousarray(given["series"]), "static": GOOD["static"]})
    plain: Mapping[str, np.ndarray] = plain_runtime(runtime.path)(
        {k: np.ascontiguousarray(v) for k, v in given.items()}
    )
    for name, y in first.items():
        np.testing.assert_array_equal(y, second[name])
        np.testing.assert_array_equal(y, other[name])
        assert difference(plain[name], y) == ""
    np.testing.assert_array_equal(series, kept)


def test_results_survive_the_next_call(runtime: Runtime) -> None:
    first = runtime(GOOD)
    kept = {name: y.copy() for name, y in first.items()}
    runtime({"series": 2 * GOOD["series"], "static": -GOOD["static"]})
    for name, y in first.items():
        np.testing.assert_array_equal(y, kept[name])


def test_ports_say_what_the_model_takes(runtime: Runtime) -> None:
    shapes = {port.name: (port.shape, port.dtype) for port in runtime.inputs}
    assert shapes == {"series": ((None, None, 2), "float32"), "static": ((None, 3), "float32")}
    assert {port.name: port.shape for port in runtime.outputs} == {"mean": (None, 2), "summary": (None, 4)}


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_artifact(fmt: str, kept: float, artifact_of: Any, tmp_path: Path) -> None:
    """Whatever the cut, loading or the first call raises; nothing crashes."""
    source = artifact_of("regressor", fmt).path
    copy = tmp_path / source.name
    shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    cut = copy / "saved_model.pb" if copy.is_dir() else copy
    content = cut.read_bytes()
    cut.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(export.ArtifactError, match=copy.name.replace(".", r"\.")) as caught:
        export.load_runtime(copy)(GOOD)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fmt", FORMATS)
def test_bytes_of_something_else(fmt: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{SUFFIXES[fmt]}"
    target = path
    if fmt == "saved_model":
        path.mkdir()
        target = path / "saved_model.pb"
    target.write_bytes(b"\x89PNG\r\n" + bytes(range(256)) * 8)
    for use in (export.load_runtime, export.op_histogram):
        with pytest.raises(export.ArtifactError):
            use(path)


@pytest.mark.parametrize("fmt", FORMATS)
def test_no_artifact(fmt: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{SUFFIXES[fmt]}"
    for use in (export.load_runtime, export.op_histogram):
        with pytest.raises(export.ArtifactError, match=f"x{SUFFIXES[fmt]}".replace(".", r"\.")):
            use(path)


@pytest.mark.parametrize("fmt", FORMATS)
def test_another_models_artifact_fails_verification(fmt: str, artifact_of: Any, model_of: Any) -> None:
    report = export.verify(model_of("classifier"), artifact_of("regressor", fmt))
    assert not report.passed
    assert "token_ids" in report.misses[0]
    with pytest.raises(export.VerificationError, match="regressor"):
        report.raise_for_failure()
