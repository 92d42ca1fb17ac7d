"""A run's `exports/`: every format written, verified and measured."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

import export
from recipes.console import Console
from recipes.files import naming, read_json, write_json
from recipes.judging import in_batches
from recipes.recipe import Data, RecipeConfig

VERIFY, BENCHMARK = "verify.json", "benchmark.json"


@dataclasses.dataclass(frozen=True)
class Exported:
    """What came of the exports.

    Attributes:
        artifacts: The files that passed.
        failures: One line for each format that failed; its file is deleted.
    """

    artifacts: tuple[Path, ...]
    failures: list[str]


def export_all(model: keras.Model, data: Data, folder: Path, console: Console) -> Exported:
    """Exports a model to every format, each verified against it.

    Args:
        model: The trained model.
        data: Gives the labels and the preprocessing that the manifest tells.
        folder: Is emptied first: what a kill left in it is worth nothing.
        console: Is told of each format.

    Returns:
        What passed and what failed.

    Raises:
        RecipeError: A file could not be written.
    """
    with naming("write", folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    metadata = {"labels": list(data.labels), "preprocessing": dict(data.preprocessing)}
    artifacts, failures, reports = [], [], {}
    for name in export.FORMATS:
        try:
            with naming("write", folder):
                artifact = export.export_model(model, folder, format=name, metadata=metadata)
        except export.VerificationError as error:
            reports[name] = error.report.to_json()
            failures.append(f"{name} failed its verification and was deleted from {folder}: {error}")
            console.say(failures[-1])
        except export.SeqzooExportError as error:
            failures.append(f"{name}: {error}")
            console.say(failures[-1])
        else:
            reports[name] = artifact.report.to_json()
            artifacts.append(artifact.path)
            console.say(f"{name}: {artifact.path}, verified on {len(artifact.report.cases)} cases")
    write_json(folder / VERIFY, reports)
    return Exported(tuple(artifacts), failures)


def measure(recipe: RecipeConfig, data: Data, artifacts: Sequence[Path]) -> list[dict[str, Any]]:
    """Measures artifacts: size, load time, latency at batch 1, the recipe's test metrics through each runtime.

    Args:
        recipe: Judges the outputs.
        data: Its test part is run through each artifact.
        artifacts: The files, all in one `exports/`.

    Returns:
        One row a file, as `results.json` and the report's table hold them.

    Raises:
        RecipeError: `verify.json` is missing or damaged.
        export.ArtifactError: An artifact can't be loaded or run.
    """
    if not artifacts:
        return []
    example = {name: array[:1] for name, array in data.test.inputs.items()}

    def evaluate(runtime: Any) -> dict[str, float]:
        return recipe.judge(in_batches(runtime)(data.test.inputs), data.test).metrics

    verified = read_json(artifacts[0].parent / VERIFY)
    measured = export.benchmark(list(artifacts), example, evaluate)
    return [_row(dataclasses.asdict(row), verified[row.format]) for row in measured]


def _row(measured: dict[str, Any], verified: dict[str, Any]) -> dict[str, Any]:
    errors = [output["max_abs"] for output in verified["outputs"]]
    allowed = verified["outputs"][0]["tolerance"]
    return measured | {
        "max_abs_error": max(errors),
        "tolerance": f"{allowed['atol']:g} + {allowed['rtol']:g}·|y|",
        "passed": verified["passed"],
    }
