"""The C++ beside a file for microcontrollers, checked by a compiler against stand-ins for the runtime's headers."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import export
from export import micro_code
from export.micro_ops import MICRO_OPS, method_of
from tests.export import user_cells
from tests.export.micro_headers import METHODS, write_headers
from tests.export.test_micro import L, data, model_of

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++")
_STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic")


def checked(folder: Path, *names: str, nested: bool) -> None:
    """Runs the compiler's checks over files of the folder."""
    headers = folder / f"headers_{nested}"
    write_headers(headers, nested=nested)
    for name in names:
        command = ["g++", *_STRICT, "-fsyntax-only", f"-I{headers}", f"-I{folder}", str(folder / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 file with its code beside it."""
    options: dict[str, Any] = {"precision": "int8", "calibration": data()}
    path = tmp_path_factory.mktemp("code") / "net.tflite"
    return export.export_model(model_of(L.LSTM(6)), path, target="micro", **options).path


@pytest.fixture(scope="module")
def content(made: Path) -> bytes:
    return made.read_bytes()


def test_what_lies_beside_the_file(made: Path, content: bytes) -> None:
    entry = json.loads((made.parent / "manifest.json").read_text())["artifacts"]["net.tflite"]
    assert entry["code"] == ["net.h", "net.cc", "main.cc"]
    assert bytes(_numbers(made.with_suffix(".cc"))) == content
    header = made.with_suffix(".h").read_text()
    for op in export.op_histogram(made):
        assert f"resolver.{method_of(op)}()" in header
    port = entry["tensors"]["inputs"][0]
    assert f"kInput0ZeroPoint = {port['zero_point']};" in header


def _numbers(array: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", array.read_text().split("kData[] = {")[1].split("}")[0])]


@needs_compiler
@pytest.mark.parametrize("nested", [False, True], ids=["names in tflite", "names in tflite::micro"])
def test_the_program_compiles(content: bytes, nested: bool, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(content)
    files = micro_code.write_code(tmp_path / "net.tflite", 7000)
    assert [path.name for path in files] == ["net.h", "net.cc", "main.cc"]
    checked(tmp_path, "net.cc", "main.cc", nested=nested)
    program = (tmp_path / "main.cc").read_text()
    assert len(program.splitlines()) <= 40


@needs_compiler
def test_a_wrong_method_would_not_compile(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(content)
    micro_code.write_code(tmp_path / "net.tflite", None)
    header = tmp_path / "net.h"
    header.write_text(header.read_text().replace("AddFullyConnected", "AddFullyconnected"))
    with pytest.raises(AssertionError, match="AddFullyconnected"):
        checked(tmp_path, "main.cc", nested=True)


def test_every_op_has_a_method_that_the_runtime_has() -> None:
    assert {method_of(op) for op in MICRO_OPS} == set(METHODS)


@needs_compiler
@pytest.mark.parametrize("stem", ["main", "3-ways to go", "class", "std", "index", "arena", "uint8_t", "log"])
def test_any_name_of_the_file_will_do(stem: str, content: bytes, tmp_path: Path) -> None:
    artifact = tmp_path / f"{stem}.tflite"
    artifact.write_bytes(content)
    header, array, program = micro_code.write_code(artifact, 7000)
    assert len({header, array, program}) == 3
    assert bytes(_numbers(array)) == content
    checked(tmp_path, array.name, program.name, nested=True)


@needs_compiler
def test_programs_in_one_folder_do_not_replace_each_other(content: bytes, tmp_path: Path) -> None:
    for stem in ("net", "main", "other", "net"):  # the last of them once more
        (tmp_path / f"{stem}.tflite").write_bytes(content)
        micro_code.write_code(tmp_path / f"{stem}.tflite", 7000)
    programs = {"main.cc": "net", "main_main.cc": "main", "other_main.cc": "other"}
    arrays = {"net.cc", "main_data.cc", "other.cc"}
    assert {path.name for path in tmp_path.glob("*.cc")} == arrays | set(programs)
    for program, stem in programs.items():
        assert f'#include "{stem}.h"' in (tmp_path / program).read_text()
    checked(tmp_path, *programs, *arrays, nested=True)


def test_a_program_of_the_users_own_stays(made: Path, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "main.cc").write_text("int main() {}\n")
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "net.tflite").write_bytes(content)
    files = micro_code.write_code(tmp_path / "room" / "net.tflite", None, folder=tmp_path)
    assert [path.name for path in files] == ["net.h", "net.cc", "net_main.cc"]
    assert [path.parent.name for path in files] == ["room"] * 3


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8", "int16x8"])
@pytest.mark.parametrize("layer", [L.GRU, L.LSTM])
def test_the_programs_of_steps_compile(layer: Any, precision: str, tmp_path: Path) -> None:
    model = model_of(layer(8, return_sequences=True), L.Conv1D(3, 4, padding="causal"), time=None)
    options: dict[str, Any] = {} if precision == "float32" else {"calibration": data(8, 30), "max_metric_drop": None}
    options |= {"target": "micro", "streaming": True, "precision": precision}
    export.export_model(model, tmp_path / "step.tflite", **options)
    assert "kStates" in (tmp_path / "main.cc").read_text()
    for nested in (False, True):
        checked(tmp_path, "step.cc", "main.cc", nested=nested)


@pytest.mark.slow
def test_a_first_state_that_is_not_zero_is_told(tmp_path: Path) -> None:
    model = model_of(L.RNN(user_cells.ManyStatesCell(3, 4), return_sequences=True), time=None)
    export.export_model(model, tmp_path, target="micro", streaming=True)
    assert re.search(r"replace the zeros of rnn(_\d+)?_state_\d", (tmp_path / "main.cc").read_text())
