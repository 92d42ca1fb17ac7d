"""The child process in which the micro interpreter runs: `python -P micro_worker.py FOLDER`.

It ends the whole process on some files, and tells its use of memory on standard error only. This file is run by its
path and imports nothing of seqzoo. The folder holds `request.json`, `model` and `calls.npz`; it gets `outputs.npz`, or
`reason.txt`.
"""

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np


def main(folder: Path) -> int:
    """Makes the calls one after the other; the exit code is 0 where `outputs.npz` is whole."""
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    from tflite_micro.python.tflite_micro import runtime

    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    calls = np.load(folder / "calls.npz", allow_pickle=False)
    try:
        interpreter = runtime.Interpreter.from_bytes((folder / "model").read_bytes(), arena_size=request["arena"])
        results: dict[str, np.ndarray] = {}
        for call in range(request["calls"]):
            for place in range(request["inputs"]):
                carried = request["carried"].get(str(place)) if call else None
                given = calls[f"{call}.{place}"] if carried is None else results[f"{call - 1}.{carried}"]
                interpreter.set_input(given, place)
            interpreter.invoke()
            results |= {f"{call}.{place}": interpreter.get_output(place) for place in range(request["outputs"])}
        interpreter.print_allocations()
    except Exception as error:  # pybind11 raises bare RuntimeError
        (folder / "reason.txt").write_text(str(error) or type(error).__name__, encoding="utf-8")
        return 1
    np.savez(folder / "outputs.npz", **results)  # type: ignore[arg-type]  # names never clash with savez's own arguments
    return 0


def _die_with_the_parent() -> None:
    os.read(0, 1)  # standard input: nothing is ever written, the pipe ends when the parent does
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
