"""SIGTERM while a model is trained: noted at once, obeyed at the end of the step, so that nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Stop:
    """Whether training shall end.

    Attributes:
        asked: Set by SIGTERM, or by another worker's.
    """

    def __init__(self) -> None:
        self.asked = False


@contextlib.contextmanager
def noting_sigterm() -> Iterator[Stop]:
    """Notes SIGTERM meanwhile; at the end the signal is given to whoever handled it before.

    Yields:
        What to look at after each step. In another thread than the main one nobody sets it.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: object) -> None:
        stop.asked = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
    if stop.asked:
        signal.raise_signal(signal.SIGTERM)
