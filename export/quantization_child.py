"""Calibration in a child process: whatever becomes of the child, the caller gets a file or a typed error."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.errors import QuantizationError, first_line

WORKER = Path(__file__).with_name("quantization_worker.py")
TIMEOUT = 1800.0
"""Seconds after which a calibration counts as hung."""

Feed = tuple[str, dict[str, np.ndarray]]
"""Signature and inputs by name; an ONNX file has no signatures, and takes any text there."""


def calibrate_in_child(
    kind: str,
    content: bytes,
    precision: str,
    feeds: Sequence[Feed],
    *,
    integer_ports: bool = False,
    timeout: float = TIMEOUT,
) -> bytes:
    """Quantizes a float32 file with calibration data, in a process of its own.

    Args:
        kind: The file's format, `tflite` or `onnx`.
        content: The file.
        precision: `int8_full` or `int16x8`.
        feeds: The calibration data.
        integer_ports: LiteRT only: inputs and outputs are integers too.
        timeout: Seconds to wait.

    Returns:
        The quantized file.

    Raises:
        QuantizationError: The tool refused, crashed, hung or was killed; says why. Nothing is left behind.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="seqzoo-") as name:
            room = Path(name)
            _write_request(room, kind, content, precision, feeds, integer_ports)
            code = run_child(WORKER, room, timeout, f"{precision} calibration")
            result = room / "result"
            if code == 0 and result.exists():
                return result.read_bytes()
            raise QuantizationError(f"{precision} calibration failed: {reason_of(room, code)}")
    except OSError as error:
        reason = error.strerror or str(error)
        raise QuantizationError(f"cannot calibrate in {tempfile.gettempdir()!r}: {reason}") from error


def _write_request(
    room: Path, kind: str, content: bytes, precision: str, feeds: Sequence[Feed], integer_ports: bool
) -> None:
    (room / "model").write_bytes(content)
    arrays = {
        f"{index}.{place}": array for index, (_, feed) in enumerate(feeds) for place, array in enumerate(feed.values())
    }
    np.savez(room / "feeds.npz", **arrays)  # type: ignore[arg-type]  # names never clash with savez's own arguments
    request = {
        "kind": kind,
        "precision": precision,
        "integer_ports": integer_ports,
        "feeds": [(signature, list(feed)) for signature, feed in feeds],
    }
    (room / "request.json").write_text(json.dumps(request), encoding="utf-8")


def run_child(worker: Path, room: Path, timeout: float, what: str) -> int:
    """Runs a worker on a folder and waits for it; it never outlives this call, however the call ends.

    Args:
        worker: The script.
        room: The folder it works in; what it says goes to `log` there.
        timeout: Seconds to wait.
        what: What it does, for the error's text.

    Returns:
        Its exit code; negative where a signal ended it.

    Raises:
        QuantizationError: It took longer.
    """
    packages = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": packages, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with (room / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", str(worker), str(room)],
            stdin=subprocess.PIPE,  # its end tells the child that this process is gone
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C comes here, and from here the child is ended
        )
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise QuantizationError(f"{what} was stopped: it took more than {timeout:g} seconds") from None
        finally:
            child.kill()
            child.communicate()


def reason_of(room: Path, code: int) -> str:
    """Why a worker failed: its own words, its log's last line, or the signal that ended it."""
    if code < 0:
        name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else "unknown"
        why = {
            "SIGKILL": ", as by the system where memory runs out",
            "SIGSEGV": ": it crashed",
            "SIGABRT": ": it gave up",
        }
        return f"the tool was ended by signal {-code} ({name}{why.get(name, '')})"
    said = room / "reason.txt"
    log = (room / "log").read_text(encoding="utf-8", errors="replace")
    marked = "\n".join(line for line in log.splitlines() if "error:" in line)
    text = said.read_text(encoding="utf-8") if said.exists() else log.strip().rpartition("\n")[2]
    if marked and (not text or " " not in text):  # MLIR raises a bare RuntimeError, and says why on standard error
        text = marked
    return first_line(RuntimeError(text)) if text else f"the tool ended with exit code {code}"
