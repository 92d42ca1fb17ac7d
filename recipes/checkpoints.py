"""Everything that training must remember between two epochs, on the disk after each."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from recipes.errors import RecipeError, first_line
from recipes.files import naming, write_atomically

Row = dict[str, float]
"""A line of `metrics.csv`: epoch (from 1), then each metric of the epoch."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far training has come. The rows say it all: what can be derived is not stored a second time.

    Attributes:
        rows: One for each finished epoch.
        monitor: The column that chooses the best epoch.
        mode: Whether the best is the highest or the lowest.
    """

    rows: tuple[Row, ...]
    monitor: str
    mode: str

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.rows)

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, with the best monitored value; the earliest of equals. 0 before the first."""
        if not self.rows:
            return 0
        best = max if self.mode == "max" else min
        values = [row[self.monitor] for row in self.rows]
        return values.index(best(values)) + 1

    def is_stalled(self, patience: int | None) -> bool:
        """True after `patience` epochs without a better one."""
        return patience is not None and self.epochs - self.best_epoch >= patience


@dataclasses.dataclass(frozen=True)
class Middle:
    """Where in an epoch training was stopped.

    Attributes:
        step: How many steps of the epoch are done.
        row: The epoch's training metrics, where only its validation is left.
        metrics: What the metrics have counted up to there.
        carried: The states carried from batch to batch.
    """

    step: int
    row: Row | None
    metrics: list[np.ndarray]
    carried: list[np.ndarray]


class Checkpoints:
    """The folder `checkpoints/`: the last epoch's whole state, the best epoch's weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = folder / "last.npz"

    def save(self, model: keras.Model, progress: Progress) -> None:
        """Writes the state after an epoch.

        Args:
            model: Compiled, after `progress.epochs` epochs.
            progress: With this epoch's row.

        Raises:
            RecipeError: It could not be written; the state before is still there.
        """
        # The best weights go first: `last.npz` names their epoch, and a kill in between leaves it at the old best,
        # whose file is removed only after that.
        if progress.best_epoch == progress.epochs:
            _write(self._best(progress.epochs), {"weights": model.weights}, {})
        _write(self.last, _state(model), {"rows": list(progress.rows)})
        for stale in self.folder.glob("best-*.npz"):
            if stale != self._best(progress.best_epoch):
                stale.unlink(missing_ok=True)

    def save_middle(self, model: keras.Model, progress: Progress, middle: Middle) -> None:
        """Writes the state between two steps.

        Args:
            model: Compiled.
            progress: The epochs before.
            middle: What else is to be remembered.

        Raises:
            RecipeError: It could not be written; the state before is still there.
        """
        facts = {"rows": list(progress.rows), "step": middle.step, "row": middle.row}
        _write(self.last, _state(model) | {"metrics": middle.metrics, "carried": middle.carried}, facts)

    def load(self, model: keras.Model) -> tuple[tuple[Row, ...], Middle | None]:
        """Puts model and optimizer back to where they were saved last.

        Args:
            model: Compiled, built as it was then.

        Returns:
            The rows of the finished epochs, none where nothing was saved yet; where in the next one to go on, None
            for its start.

        Raises:
            RecipeError: The file is damaged or belongs to another model.
        """
        if not self.last.exists():
            return (), None
        facts, others = _read(self.last, _state(model))
        middle = Middle(facts["step"], facts["row"], others["metrics"], others["carried"]) if "step" in facts else None
        return tuple(facts["rows"]), middle

    def load_best(self, model: keras.Model, progress: Progress) -> None:
        """Gives the model the best epoch's weights.

        Args:
            model: Built as it was then.
            progress: Says which epoch that is.

        Raises:
            RecipeError: The file is missing, damaged or belongs to another model.
        """
        _read(self._best(progress.best_epoch), {"weights": model.weights})

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:05d}.npz"


def _state(model: keras.Model) -> dict[str, list[Any]]:
    # `model.variables` holds the state of the dropouts' random generators too, which `model.weights` and Keras's own
    # files leave out: without it a resumed run draws other masks.
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _write(path: Path, groups: dict[str, list[Any]], facts: dict[str, Any]) -> None:
    arrays = {
        f"{group}/{index}": keras.ops.convert_to_numpy(variable)
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }
    text = np.array(json.dumps(facts))
    write_atomically(path, lambda partial: np.savez(partial, facts=text, **arrays))


def _read(path: Path, groups: dict[str, list[Any]]) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]]:
    """Gives variables their values; returns the facts, and the arrays of a state between two steps by group."""
    try:
        with naming("read", path), np.load(path, allow_pickle=False) as stored:
            others = {
                group: [stored[f"{group}/{index}"] for index in range(sum(name.startswith(group) for name in stored))]
                for group in ("metrics", "carried")
            }
            if len(stored.files) != 1 + sum(map(len, [*groups.values(), *others.values()])):
                raise RecipeError(f"{path} belongs to another model; start again with --overwrite")
            for group, variables in groups.items():
                for index, variable in enumerate(variables):
                    variable.assign(stored[f"{group}/{index}"])
            return json.loads(str(stored["facts"])), others
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RecipeError(f"{path} is damaged ({first_line(error)}); start again with --overwrite") from error
