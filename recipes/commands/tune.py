"""`seqzoo tune RECIPE --trials 20`: searches a recipe's fields."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recipes.commands.command import print_json, print_table
from recipes.commands.of_recipe import OfRecipe
from recipes.errors import RecipeError, UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tune(OfRecipe):
    """Search a recipe's fields; each trial is a run like any other. The same command goes on after a stop or a kill."""

    trials: int = 20
    """How many runs at most."""
    method: Literal["random", "hyperband", "bayesian", "grid"] = "random"
    """The search algorithm."""
    space: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FIELD=LOW:HIGH|FIELD=A,B")] = ()
    """What to try in place of what the recipe says: learning-rate=1e-4:1e-2, cell=gru,lstm, units=64,64+64."""
    objective: str | None = None
    """A metric of the validation part, perhaps with its direction (loss:min); what chooses the epoch unless given."""
    limit: Annotated[tuple[str, ...], tyro.conf.arg(metavar="QUANTITY=MOST")] = ()
    """Budgets, measured on the exported files: tflite_bytes=200000, latency_ms=2, parameters=50000."""
    out: Path | None = None
    """The search's folder; runs/tune-RECIPE unless given."""
    chief: str | None = None
    """HOST:PORT of the chief in a search by several processes; without --worker this process is the chief."""
    worker: str | None = None
    """This process's name among the workers; all get the same options, and a folder that all of them see."""

    def execute(self) -> int:
        """Searches and prints the ranked trials; fails where none keeps the limits."""
        from recipes import tuning, tuning_page
        from recipes.search_space import parse_space

        search = tuning.tune(
            self.name,
            trials=self.trials,
            method=self.method,
            space=parse_space(self.start(self.name), self.space),
            objective=self.objective,
            limits=dict(_limit(word) for word in self.limit),
            out=self.out,
            preset=self.preset,
            quiet=self.json,
            chief=self.chief,
            worker=self.worker,
            **self.given(),
        )
        rows = tuning_page.rows(search)
        if self.json:
            print_json(rows)
        else:
            names = list(dict.fromkeys(name for row in rows for name in row["fields"]))
            flat = [row | {name: row["fields"].get(name) for name in names} for row in rows]
            columns = ["trial", search.goal.column, *names, "within", "run"]
            print_table(columns, [[row[column] for column in columns] for row in flat])
        if search.best is None:
            reasons = "; ".join(sorted({row["reason"] for row in rows if row["reason"]}))
            raise RecipeError(f"no trial has kept the limits{': ' + reasons if reasons else ''}")
        return 0


def _limit(word: str) -> tuple[str, float]:
    name, _, text = word.partition("=")
    try:
        return name.replace("-", "_"), float(text)
    except ValueError:
        raise UsageError(f"a limit reads like tflite_bytes=200000; got {word!r}") from None
