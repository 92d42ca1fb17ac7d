"""One trial of a search in a process of its own: `python -m recipes.trial_process PARENT run digits --units 64 ...`.

A process of its own, so that what a trial leaves behind in memory ends with it, and a trial that is killed for want of
memory does not take the search along. It ends as soon as its parent has: a search that was killed and started again
must not find its old trial still writing.
"""

import os
import sys
import threading
import time

from recipes import cli

LOOK_EVERY = 0.1
"""Seconds; a new search takes longer than that to start."""


def end_with(parent: int) -> None:
    """Ends this process as soon as its parent is gone.

    Args:
        parent: The parent's process id.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY)
        os._exit(cli.INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    sys.exit(cli.main(sys.argv[2:]))
