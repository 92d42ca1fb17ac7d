"""A run's `exports/`: every format written, verified and measured."""

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import export
from recipes.console import Console
from recipes.data import Data
from recipes.files import naming, read_json, write_json
from recipes.judging import outputs_on
from recipes.recipe import Deployment, RecipeConfig

VERIFY, BENCHMARK = "verify.json", "benchmark.json"


@dataclasses.dataclass(frozen=True)
class Exported:
    """What came of the exports.

    Attributes:
        artifacts: The files that passed, each with what it was made of.
        failures: One line for each file that failed; it is deleted.
    """

    artifacts: tuple[tuple[Path, Deployment], ...]
    failures: list[str]


def export_all(deployments: Sequence[Deployment], data: Data, folder: Path, console: Console) -> Exported:
    """Exports everything that a recipe has to offer, each file verified against its Keras model.

    Args:
        deployments: What to export.
        data: Gives the labels and the preprocessing that the manifest tells.
        folder: Is emptied first: what a kill left in it is worth nothing.
        console: Is told of each file.

    Returns:
        What passed and what failed.

    Raises:
        RecipeError: A file could not be written.
    """
    with naming("write", folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    metadata = {"labels": list(data.labels), "preprocessing": dict(data.preprocessing), **data.metadata}
    artifacts, failures, reports = [], [], {}
    for deployment, fmt, precision, file in _files(deployments):
        options = {"metadata": metadata, "precision": precision, **deployment.options}
        try:
            with naming("write", folder):
                artifact = export.export_model(deployment.model, folder / file, format=fmt, **options)
        except export.VerificationError as error:
            reports[file] = error.report.to_json()
            failures.append(f"{file} failed its verification and was deleted from {folder}: {error}")
            console.say(failures[-1])
        except export.SeqzooExportError as error:
            failures.append(f"{file}: {error}")
            console.say(failures[-1])
        else:
            reports[file] = artifact.report.to_json()
            artifacts.append((artifact.path, deployment))
            console.say(f"{fmt}: {artifact.path}, verified on {len(artifact.report.cases)} cases")
    write_json(folder / VERIFY, reports)
    return Exported(tuple(artifacts), failures)


def measure(recipe: RecipeConfig, data: Data, artifacts: Sequence[tuple[Path, Deployment]]) -> list[dict[str, Any]]:
    """Measures artifacts: size, load time, latency at batch 1, the recipe's test metrics through each runtime.

    Args:
        recipe: Judges the outputs.
        data: Its test part is run through each artifact.
        artifacts: The files, all in one `exports/`, and what each was made of.

    Returns:
        One row a file, as `results.json` and the report's table hold them.

    Raises:
        RecipeError: `verify.json` is missing or damaged.
        export.ArtifactError: An artifact can't be loaded or run.
    """
    if not artifacts:
        return []
    verified = read_json(artifacts[0][0].parent / VERIFY)

    def evaluate(runtime: Any) -> dict[str, float]:
        return recipe.judge(outputs_on(recipe, runtime, data.test), data.test).metrics

    rows = []
    for deployment in dict.fromkeys(deployment for _, deployment in artifacts):
        paths = [path for path, owner in artifacts if owner is deployment]
        if deployment.options.get("streaming"):
            measured = export.benchmark_stream(paths, deployment.example)
        else:
            inputs = deployment.example or data.test.batch(np.arange(1))[0]
            measured = export.benchmark(paths, inputs, None if deployment.metrics else evaluate)
        for path, row in zip(paths, measured, strict=True):
            own = dict(deployment.metrics(path)) if deployment.metrics else row.metrics
            rows.append(_row(dataclasses.asdict(row) | {"metrics": own}, verified[path.name]))
    return rows


def finished(deployments: Sequence[Deployment], folder: Path) -> list[tuple[Path, Deployment]]:
    """Finds the files of a finished run.

    Args:
        deployments: What was to be exported.
        folder: The run's `exports/`.

    Returns:
        The files that are there, each with what it was made of.
    """
    places = [(folder / file, deployment) for deployment, _, _, file in _files(deployments)]
    return [place for place in places if place[0].exists()]


def _files(deployments: Sequence[Deployment]) -> Iterator[tuple[Deployment, str, str, str]]:
    for deployment in deployments:
        for name, fmt in export.FORMATS.items():
            if deployment.formats is not None and name not in deployment.formats:
                continue
            for precision in deployment.precisions:
                if precision in fmt.tolerance:
                    bits = "" if precision == "float32" else f"-{precision}"
                    yield deployment, name, precision, f"{deployment.name}{bits}{fmt.suffix}"


def _row(measured: dict[str, Any], verified: dict[str, Any]) -> dict[str, Any]:
    errors = [output["max_abs"] for output in verified["outputs"]]
    allowed = verified["outputs"][0]["tolerance"]
    relative = allowed.get("relative") is not None
    return measured | {
        "max_abs_error": max(errors),
        "tolerance": f"{allowed['relative']:.1%} rms" if relative else f"{allowed['atol']:g} + {allowed['rtol']:g}·|y|",
        "passed": verified["passed"],
    }
