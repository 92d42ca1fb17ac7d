"""What a run's report page says."""

from typing import Any

import keras

from recipes import report
from recipes.checkpoints import Progress
from recipes.data import Data
from recipes.files import naming, read_json
from recipes.recipe import RecipeConfig, Verdict, recipe_name
from recipes.run_folder import RunFolder, command_line
from recipes.settings import fields_of


def write(
    recipe: RecipeConfig,
    folder: RunFolder,
    data: Data,
    model: keras.Model,
    verdict: Verdict,
    results: dict[str, Any],
    progress: Progress,
) -> None:
    """Writes `report.html`.

    Args:
        recipe: What was run.
        folder: Where, with its `config.json`.
        data: What it was trained and judged on.
        model: What came out.
        verdict: How good it is on the test part.
        results: What `results.json` will hold.
        progress: How training went.

    Raises:
        RecipeError: It could not be written.
    """
    sections = [
        report.Section(
            "Learning curves",
            report.learning_curves(progress.rows, best_epoch=progress.best_epoch),
            f"The weights of epoch {progress.best_epoch} are kept: its {progress.monitor} is the best.",
        ),
        *(draw() for draw in (*verdict.sections, *recipe.illustrate(model, data))),
        report.Section("Model", report.model_diagram(model)),
        report.Section("Artifacts", report.artifact_table(results["artifacts"]), _artifact_caption(results)),
        report.Section("Settings", report.table(("field", "value"), _settings(recipe))),
    ]
    with naming("write", folder.report):
        report.write(
            folder.report,
            title=recipe_name(type(recipe)),
            summary=_summary(data, verdict, results),
            command=command_line(recipe, folder.path),
            facts=_facts(recipe, folder, data, model, results),
            sections=sections,
        )


def _summary(data: Data, verdict: Verdict, results: dict[str, Any]) -> str:
    scores = ", ".join(f"{name} {_score(name, value)}" for name, value in verdict.metrics.items())
    passed = dict.fromkeys(row["format"] for row in results["artifacts"])
    exported = f"Exported and verified: {', '.join(passed)}." if passed else "No export passed its verification."
    return f"Trained on {data.summary}. On {data.test.size:,} test examples: {scores}. {exported}"


def _score(name: str, value: float) -> str:
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4g}"


def _artifact_caption(results: dict[str, Any]) -> str:
    caption = (
        "Each file was compared with the Keras model on random inputs that neither had seen, then run on the test "
        "part through its own runtime; latency at batch 1, one thread."
    )
    return " ".join([caption, *results["failures"]])


def _settings(recipe: RecipeConfig) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in fields_of(recipe).items()]


def _facts(
    recipe: RecipeConfig, folder: RunFolder, data: Data, model: keras.Model, results: dict[str, Any]
) -> dict[str, str]:
    config = read_json(folder.config)
    versions = config["versions"]
    return {
        "Data": data.summary,
        "Examples": f"{data.train.size:,} to train, {data.validation.size:,} to validate, {data.test.size:,} to test",
        "Model": f"{model.name}, {model.count_params():,} weights",
        "Device": f"{results['device']}, {recipe.precision}",
        "Time": ", ".join(f"{phase} {spent:.1f} s" for phase, spent in results["seconds"].items()),
        "Seed": str(recipe.seed),
        "Versions": ", ".join(f"{name} {versions[name]}" for name in ("seqzoo", "tensorflow", "keras", "python")),
        "Commit": config["git_commit"] or "not in a checkout",
    }
