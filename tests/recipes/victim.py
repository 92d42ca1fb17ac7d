"""Runs digits in a process of its own and kills it: python -m tests.recipes.victim FOLDER EPOCHS FILE NTH STATE.

Dies by SIGKILL the NTH time that FILE is put in its place: STATE `half` leaves a torn draft, `before` a whole draft,
`after` the new file. FILE `-` lets it live.
"""

import os
import signal
import sys
from pathlib import Path

import recipes
from tests.recipes.small import FIELDS

SETTLED = os.replace


def main(folder: str, epochs: str, name: str, nth: str, state: str) -> None:
    left = int(nth)

    def replace(source: str | Path, target: str | Path, **kwargs: object) -> None:
        nonlocal left
        here = Path(target).name == name
        left -= here
        if here and left == 0:
            if state == "half" and Path(source).is_file():
                os.truncate(source, os.path.getsize(source) // 2)
            if state == "after":
                SETTLED(source, target, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        SETTLED(source, target, **kwargs)

    os.replace = replace
    recipes.run("digits", out=folder, resume=True, **FIELDS | {"epochs": int(epochs)})


if __name__ == "__main__":
    main(*sys.argv[1:])
