"""An artifact is whole and verified, or not there; an older one survives a crash, not a failed verification."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import export
from export import exporting, files, manifest, onnx, saved_model, tflite
from tests.export.judging import FORMATS, SUFFIXES

WRITERS = {"onnx": (onnx, "convert"), "tflite": (tflite, "convert"), "saved_model": (saved_model, "write")}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=FORMATS)
def old(request: Any, model_of: Any, tmp_path: Path) -> Path:
    """A folder with an artifact of an earlier export."""
    path = tmp_path / "out" / f"regressor{SUFFIXES[request.param]}"
    return export.export_model(model_of("regressor"), path, verify=False).path


def fail_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    compare = exporting.compare

    def wrong(*args: Any, **kwargs: Any) -> Any:
        report = compare(*args, **kwargs, batch=(1,), time=(2,))
        report.misses.append("output 'mean': wrong on purpose")
        return report

    monkeypatch.setattr(exporting, "compare", wrong)


def test_failed_verification_leaves_nothing(old: Path, model_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_verification(monkeypatch)
    with pytest.raises(export.VerificationError, match="wrong on purpose") as caught:
        export.export_model(model_of("regressor"), old)
    assert caught.value.report.misses
    assert str(old) in str(caught.value)
    assert {path.name for path in old.parent.iterdir()} <= {"manifest.json"}
    assert json.loads((old.parent / "manifest.json").read_text())["artifacts"] == {}


@pytest.mark.parametrize("error", [RuntimeError("crash"), KeyboardInterrupt()])
def test_a_crash_in_conversion_leaves_the_old_artifact(
    old: Path, error: BaseException, model_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any, **kwargs: Any) -> Any:
        raise error

    before = contents(old.parent)
    for module, name in WRITERS.values():
        monkeypatch.setattr(module, name, crash)
    with pytest.raises(type(error)):
        export.export_model(model_of("regressor"), old)
    assert contents(old.parent) == before


def test_a_new_export_replaces_the_old_artifact(old: Path, model_of: Any) -> None:
    export.export_model(model_of("regressor"), old, metadata={"labels": ["new"]}, verify=False)
    entry = json.loads((old.parent / "manifest.json").read_text())["artifacts"][old.name]
    assert entry["labels"] == ["new"]
    assert entry["sha256"] == manifest.digest(old)
    assert entry["bytes"] == manifest.size_of(old)
    assert {path.name for path in old.parent.iterdir()} == {old.name, "manifest.json"}


def test_several_formats_share_a_manifest(artifact_of: Any, model_of: Any, tmp_path: Path) -> None:
    for fmt in FORMATS:
        export.export_model(model_of("regressor"), tmp_path, format=fmt, verify=False)
    artifacts = json.loads((tmp_path / "manifest.json").read_text())["artifacts"]
    assert {name: entry["format"] for name, entry in artifacts.items()} == {
        f"model{suffix}": fmt for fmt, suffix in SUFFIXES.items()
    }


def test_a_foreign_manifest_is_not_overwritten(model_of: Any, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(export.ArtifactError, match=r"manifest\.json"):
        export.export_model(model_of("regressor"), tmp_path / "m.onnx", verify=False)
    assert (tmp_path / "manifest.json").read_text() == "[]"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_scratch_is_gone_after_an_error(tmp_path: Path) -> None:
    def write_half() -> None:
        with files.scratch(tmp_path / "new") as room:
            (room / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert not list((tmp_path / "new").iterdir())


def test_readers_see_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path, stop, seen = tmp_path / "value.json", threading.Event(), set()
    files.write_json(path, ["old"] * 500)

    def read() -> None:
        while not stop.is_set():
            seen.add(tuple(json.loads(path.read_text())))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        files.write_json(path, ["new"] * 500)
    stop.set()
    reader.join()
    assert seen <= {("old",) * 500, ("new",) * 500}
    assert json.loads(path.read_text()) == ["new"] * 500
