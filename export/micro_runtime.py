"""A file for microcontrollers run on this machine: in the micro interpreter where it is installed, and in LiteRT's."""

import dataclasses
import importlib.util
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.calibration import Arrays
from export.errors import ArtifactError, ExportError, QuantizationError
from export.ports import Port
from export.quantization_child import reason_of, run_child
from export.runtimes import quiet_interpreter

WORKER = Path(__file__).with_name("micro_worker.py")
_ARENA = 64 << 20
_TIMEOUT = 600.0
_USED = re.compile(r"Arena allocation total (\d+) bytes")
_DTYPES = {0: "float32", 2: "int32", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}


@dataclasses.dataclass(frozen=True)
class MicroPort:
    """One input or output of the file's first subgraph.

    Attributes:
        name: Its name.
        dtype: As the file has it.
        shape: All sizes fixed.
        scale: Of an integer: value = scale * (integer - zero_point); 0 for what is no quantized number.
        zero_point: The integer that stands for 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0

    def pack(self, value: np.ndarray) -> np.ndarray:
        """The model's numbers as the file takes them."""
        if not self.scale:
            return np.ascontiguousarray(value, self.dtype)
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(value / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def unpack(self, value: np.ndarray) -> np.ndarray:
        """The file's numbers as the model gives them."""
        value = value.reshape(self.shape)
        if not self.scale:
            return value
        return ((value.astype(np.float64) - self.zero_point) * self.scale).astype(np.float32)


def check_types(ports: Sequence[Port]) -> None:
    """Refuses inputs and outputs of types for which the micro runtime has no ops: it casts no uint8.

    Raises:
        ExportError: Names the first.
    """
    for port in ports:
        if port.dtype not in _DTYPES.values():
            known = ", ".join(_DTYPES.values())
            raise ExportError(f"{port.name!r} is {port.dtype}, which the micro runtime has not; use one of {known}")


def ports_of(content: bytes) -> tuple[list[MicroPort], list[MicroPort]]:
    """-> (inputs, outputs), in the order in which the file has them."""
    graph = schema.ModelT.InitFromPackedBuf(bytearray(content), 0).subgraphs[0]
    return [_port(graph.tensors[i]) for i in graph.inputs], [_port(graph.tensors[i]) for i in graph.outputs]


def _port(tensor: Any) -> MicroPort:
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return MicroPort(
        name=tensor.name.decode(),
        dtype=_DTYPES[tensor.type],
        shape=tuple(int(size) for size in tensor.shape),
        scale=0.0 if scales is None or not len(scales) else float(scales[0]),
        zero_point=0 if scales is None or not len(scales) else int(tensor.quantization.zeroPoint[0]),
    )


def installed() -> bool:
    """Whether the micro interpreter is there."""
    return importlib.util.find_spec("tflite_micro") is not None


def run_lite(content: bytes, calls: Sequence[Arrays], carried: Mapping[str, str] | None = None) -> list[Arrays]:
    """The outputs of one call after another in LiteRT's interpreter; arguments as of `run_micro`."""
    inputs, outputs = ports_of(content)
    interpreter = quiet_interpreter(content, 1)
    interpreter.allocate_tensors()
    places = [[d["index"] for d in ds] for ds in (interpreter.get_input_details(), interpreter.get_output_details())]
    results: list[Arrays] = []
    for call in calls:
        given = dict(call)
        if results:
            given |= {name: results[-1][output] for name, output in (carried or {}).items()}
        for port, index in zip(inputs, places[0], strict=True):
            interpreter.set_tensor(index, port.pack(given[port.name]))
        interpreter.invoke()
        results.append(
            {p.name: p.unpack(np.array(interpreter.get_tensor(i))) for p, i in zip(outputs, places[1], strict=True)}
        )
    return results


def run_micro(
    content: bytes, calls: Sequence[Arrays], carried: Mapping[str, str] | None = None
) -> tuple[list[Arrays], int]:
    """Runs a file in the micro interpreter, in a process of its own.

    Args:
        content: The file.
        calls: The model's inputs by name, of one call after another.
        carried: Inputs that take an output of the call before: a step's states.

    Returns:
        The outputs of each call, and how many bytes of arena the file needs.

    Raises:
        ArtifactError: The interpreter refused, crashed or hung; says why.
    """
    inputs, outputs = ports_of(content)
    order = [port.name for port in outputs]
    places = {i: order.index(carried[p.name]) for i, p in enumerate(inputs) if p.name in (carried or {})}  # type: ignore[index]
    with tempfile.TemporaryDirectory(prefix="seqzoo-") as name:
        room = Path(name)
        (room / "model").write_bytes(content)
        arrays = {
            f"{i}.{j}": p.pack(call[p.name])
            for i, call in enumerate(calls)
            for j, p in enumerate(inputs)
            if p.name in call
        }
        np.savez(room / "calls.npz", **arrays)  # type: ignore[arg-type]  # names never clash with savez's own
        request = {"arena": _ARENA, "calls": len(calls), "inputs": len(inputs), "outputs": len(order)}
        (room / "request.json").write_text(json.dumps({**request, "carried": places}), encoding="utf-8")
        try:
            code = run_child(WORKER, room, _TIMEOUT, "the micro interpreter")
        except QuantizationError as error:
            raise ArtifactError(str(error)) from error
        if code or not (room / "outputs.npz").exists():
            raise ArtifactError(f"the micro interpreter cannot run the file: {_said(room, code)}")
        got = np.load(room / "outputs.npz", allow_pickle=False)
        results = [{p.name: p.unpack(got[f"{i}.{k}"]) for k, p in enumerate(outputs)} for i in range(len(calls))]
        used = _USED.search((room / "log").read_text(encoding="utf-8", errors="replace"))
    if used is None:
        raise ArtifactError("the micro interpreter does not tell how much memory it used")
    return results, int(used[1])


def _said(room: Path, code: int) -> str:
    """What stands on standard error is the reason; the exception says only that there was one."""
    log = (room / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    lines = [line for line in log if "Didn't find op" in line or "not supported" in line or "ailed" in line]
    return lines[0][:200] if lines else reason_of(room, code)
