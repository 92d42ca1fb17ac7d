"""`seqzoo export --precision`, `seqzoo verify --data`: one line where something is wrong, JSON for scripts."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recipes.cli import main
from tests.export.test_quantization import convolutional, inputs, recurrent

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def seqzoo(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_int8_with_a_metric(seqzoo: Command, tmp_path: Path) -> None:
    model = recurrent("GRU", 32)
    model.save(tmp_path / "m.keras")
    arrays = inputs(model)
    np.savez(tmp_path / "typical.npz", **arrays)
    np.savez(tmp_path / "test.npz", targets=np.asarray(model(arrays["features"])).argmax(-1), **arrays)
    code, out, err = seqzoo(
        *("export", tmp_path / "m.keras", "--precision", "int8", "--calibration", tmp_path / "typical.npz"),
        *("--data", tmp_path / "test.npz", "--max-metric-drop", 30, "--out", tmp_path / "out", "--json"),
    )
    assert (code, err) == (0, "")
    rows = {row["format"]: row for row in json.loads(out)}
    assert set(rows) == {"tflite", "onnx"}  # the formats that have it
    for row in rows.values():
        assert row["precision"] == "int8"
        assert row["metrics"]["keras"] == {"accuracy": 1.0}
        assert row["metrics"]["artifact"]["accuracy"] >= 0.7
        assert row["left_in_float"]
        assert row["bytes"] == Path(row["path"]).stat().st_size
    code, out, err = seqzoo("verify", tmp_path / "m.keras", tmp_path / "out" / "model.onnx")
    assert (code, err) == (0, "")
    assert "(onnx, int8): passed" in out


def test_calibrated_with_verification_on_real_data(seqzoo: Command, tmp_path: Path) -> None:
    model = convolutional()
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "typical.npz", **inputs(model))
    common = ("export", tmp_path / "m.keras", "--precision", "int8_full", "--out", tmp_path / "out")
    code, out, err = seqzoo(*common, "--to", "onnx", "--calibration", tmp_path / "typical.npz")
    assert (code, err) == (0, "")
    assert "int8_full" in out
    artifact = tmp_path / "out" / "model.onnx"
    assert seqzoo("verify", tmp_path / "m.keras", artifact, "--data", tmp_path / "typical.npz")[0] == 0
    code, _, err = seqzoo("verify", tmp_path / "m.keras", artifact)
    assert code == 1
    assert "real inputs (data=)" in err


def test_what_is_wrong_is_said_in_one_line(seqzoo: Command, tmp_path: Path) -> None:
    model = recurrent("LSTM", 4)
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "typical.npz", **inputs(model))
    for options, text in (
        (("--precision", "int8_full"), "needs calibration data"),
        (("--precision", "int8_full", "--calibration", tmp_path / "typical.npz"), "while loop"),
        (("--precision", "int8", "--to", "saved_model"), "saved_model has no int8"),
        (("--precision", "int8", "--calibration", tmp_path / "m.keras"), "which is no array"),
        (("--precision", "int8", "--data", tmp_path / "typical.npz"), "holds no array 'targets', but features"),
    ):
        code, out, err = seqzoo("export", tmp_path / "m.keras", "--out", tmp_path / "out", *options)
        assert (code, out) == (1, ""), options
        assert text in err
        assert err.count("\n") == 1
    assert seqzoo("export", tmp_path / "m.keras", "--precision", "int7")[0] == 2
