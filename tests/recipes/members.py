"""Processes that train together: each runs the command `seqzoo`, without exports and report, and says what came out.

They are forked from a process that has imported TensorFlow and not used it, so that each starts at once.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.recipes.preloaded"])


@dataclasses.dataclass(frozen=True)
class Moment:
    """A signal that a process sends, to itself or another.

    Attributes:
        step: After which step of training, counted from its start.
        signal: Which.
        validating: After a step of validation instead.
        process: Which gets it; the sender if None.
    """

    step: int
    signal: int
    validating: bool = False
    process: int | None = None


class Member:
    """One process."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str], **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.process = SPAWN.Process(target=_run, args=(words, folder, environment), kwargs=options)
        self.process.start()

    def join(self, timeout: float = 240) -> int:
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still running: {self.said}"
        return self.process.exitcode

    @property
    def said(self) -> list[str]:
        return (self.folder / "stderr").read_text().splitlines()

    @property
    def weights(self) -> list[np.ndarray]:
        with np.load(self.folder / "weights.npz") as stored:
            return [stored[name] for name in stored.files]

    def started(self, line: str) -> str:
        """Waits for a line that begins so."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            found = [said for said in self.said if said.startswith(line)] if (self.folder / "stderr").exists() else []
            if found:
                return found[0]
            assert self.process.is_alive(), self.said
            time.sleep(0.1)
        raise AssertionError(self.said)


def options(fields: dict[str, Any]) -> list[str]:
    from recipes.run_folder import option_words

    return option_words(fields)


def alone(words: list[str], folder: Path, **more: Any) -> Member:
    return Member(words, folder, {}, **more)


def workers(words: list[str], folder: Path, count: int, moments: dict[int, Moment] | None = None) -> list[Member]:
    """Starts all workers of a TF_CONFIG on this machine."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    return [
        Member(
            [*words, "--strategy", "multi_worker"],
            folder / f"worker{index}",
            {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})},
            moment=(moments or {}).get(index),
        )
        for index in range(count)
    ]


def _run(
    words: list[str], folder: Path, environment: dict[str, str], *, devices: int = 1, moment: Moment | None = None
) -> None:
    os.environ.update(environment)
    # What the command says itself goes through here; what TensorFlow writes, nowhere.
    with (folder / "stderr").open("w", buffering=1) as said, (folder / "stdout").open("w") as printed:
        os.dup2(said.fileno(), 2)
        os.dup2(printed.fileno(), 1)
        sys.stderr, sys.stdout = said, printed
        import tensorflow as tf

        if devices > 1:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
        code = _command(words, folder, moment)
        said.flush()
        printed.flush()
    # As a process that was not forked would end; multiprocessing keeps its own exit from running ours.
    raise SystemExit(code)


def _command(words: list[str], folder: Path, moment: Moment | None) -> int:
    import recipes
    from recipes import artifacts, cli, fit_loop, pages, running

    def run(*arguments: Any, **keywords: Any) -> Any:
        done = running.run(*arguments, **keywords)
        np.savez(folder / "weights.npz", *done.model.get_weights())
        return done

    go, counts = fit_loop.FitLoop._go, {True: 0, False: 0}

    def counted(self: Any, step: Any, batches: Any, steps: range, advance: Any) -> int:
        validating = step is self._test

        def after() -> None:
            counts[validating] += 1
            if moment and validating == moment.validating and counts[validating] == moment.step:
                os.kill(moment.process or os.getpid(), moment.signal)
            advance()

        return go(self, step, batches, steps, after)

    patches = [
        mock.patch.object(recipes, "run", run, create=True),
        mock.patch.object(artifacts, "export_all", _export_nothing),
        mock.patch.object(artifacts, "measure", return_value=[]),
        mock.patch.object(pages, "write"),
        mock.patch.object(fit_loop.FitLoop, "_go", counted),
    ]
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        return cli.main(words)


def _export_nothing(deployments: Any, data: Any, folder: Path, console: Any) -> Any:
    folder.mkdir(exist_ok=True)
    return mock.Mock(artifacts=[], failures=[])


KILL, TERM, FREEZE = signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP
