"""`seqzoo run RECIPE`: from a name to a folder with verified artifacts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import recipes
from recipes.commands.command import Switch, print_json, print_table
from recipes.commands.of_recipe import OfRecipe
from recipes.recipe import RECIPES
from recipes.run_folder import default_folder, stored_recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(OfRecipe):
    """Train a recipe, export the model to every format, verify and measure each file, write the report page."""

    out: Path | None = None
    """The run's folder; runs/RECIPE unless given."""
    resume: Switch = False
    """Go on with the run in the folder, from its last complete epoch or the step that SIGTERM has saved."""
    overwrite: Switch = False
    """Throw away the run in the folder."""
    wait: Switch = False
    """Where another process uses the folder, wait until it has done with it."""
    strategy: Literal["mirrored", "multi_worker"] | None = None
    """Train on all GPUs of this machine, or on all machines that TF_CONFIG names; see docs/scaling.md."""

    data_service: str | None = None
    """grpc://HOST:PORT of a dispatcher whose workers make the batches; see docs/scaling.md."""

    def start(self, name: str) -> Any:
        """The recipe that the options change: of a resumed run, the one in its folder."""
        folder = self.out if self.out is not None else default_folder(name)
        if not (self.resume and (folder / "config.json").exists()):
            return super().start(name)
        stored = stored_recipe(folder)
        # Another recipe's folder: `recipes.run` says so, with the names.
        return stored if type(stored) is RECIPES[name] else RECIPES[name]()

    def execute(self) -> int:
        """Runs the recipe and prints what came out."""
        done = recipes.run(
            self.name,
            out=self.out,
            resume=self.resume,
            overwrite=self.overwrite,
            preset=self.preset,
            wait=self.wait,
            strategy=self.strategy,
            data_service=self.data_service,
            **self.given(),
        )
        if self.json:
            print_json({"folder": str(done.folder)} | done.results)
        elif done.results:  # a worker that is not the chief has none
            print_artifacts(done.results["artifacts"])
        return 0


def print_artifacts(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table of a run's artifacts.

    Args:
        rows: As `results.json` holds them.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    columns = ["file", "kB", "load ms", "call ms", "p95 ms", "max error", "verified", *metrics]
    print_table(
        columns,
        [
            [
                row["file"],
                round(row["bytes"] / 1000, 1),
                *(row[name] for name in ("load_ms", "latency_ms_median", "latency_ms_p95", "max_abs_error", "passed")),
                *(row["metrics"].get(name) for name in metrics),
            ]
            for row in rows
        ],
    )
