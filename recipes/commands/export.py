"""`seqzoo export MODEL.keras`: any Keras model as files that run elsewhere."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import export
from recipes.commands.command import Command, print_json, print_table
from recipes.errors import RecipeError, UsageError
from recipes.files import missing_folders, naming, remove_empty

Format = Literal[tuple(export.FORMATS)]  # type: ignore[valid-type]  # the one table of formats
Precision = Literal[export.PRECISIONS]  # type: ignore[valid-type]  # from the same table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Export a Keras model, each file verified against it before it is put in place."""

    model: Annotated[Path, tyro.conf.Positional]
    """The model, a .keras file."""
    to: tuple[Format, ...] | None = None
    """The formats; where none are given, all that have the precision."""
    out: Path = Path("exports")
    """The folder; gets model.tflite and so on, and a manifest.json."""
    streaming: bool = False
    """Write a step model, which takes a sequence chunk by chunk and hands its states in and out; docs/streaming.md."""
    chunk: int | None = None
    """Steps of input that one call of the step takes; by default as few as give an output."""
    batch: int | None = None
    """Fix the batch to this size, for a runtime that takes static shapes only, as LiteRT does in a browser."""
    time: int | None = None
    """Fix the sequences to this length."""
    target: Literal["micro"] | None = None
    """`micro` for a microcontroller: LiteRT with static shapes and C++ beside it; docs/micro.md."""
    metadata: Path | None = None
    """What the user of the files needs besides, a .json file: labels, vocabulary, normalisation, sample_rate ..."""
    opset: int = 18
    """ONNX's operator set."""
    require_native: bool = False
    """Fail where a recurrent layer has no native form in the format."""
    precision: Precision = "float32"
    """How many bits weights (float16, int8) or activations too (int8_full, int16x8) have; docs/quantization.md."""
    calibration: Path | None = None
    """Typical inputs by name, examples along the first axis, an .npz file: int8_full and int16x8 need them; for the
    others they are inputs more on which the files are compared with the model."""
    data: Path | None = None
    """Test inputs by name and their `targets`, an .npz file: the metric then judges files of fewer bits."""
    metric: str = "accuracy"
    """What is computed on the data: accuracy, mae or mse."""
    max_metric_drop: float | None = 1.0
    """By how many points it may be worse (accuracy .97 -> .96 is one point); None takes any loss of quality."""

    def execute(self) -> int:
        """Exports to one format after the other; goes on where one fails."""
        from recipes.loading import load_model

        self._check_out()
        if self.data is None and self.is_typed("metric"):
            raise UsageError("--metric has no effect without --data, on which it is computed")
        evaluate, metadata = self._evaluate(), self._metadata()
        model = load_model(self.model)
        rows, failures, made = [], [], missing_folders(self.out)
        for name in dict.fromkeys(self.to or self._formats()):
            try:
                with naming("write", self.out):
                    self.out.mkdir(parents=True, exist_ok=True)
                    artifact = export.export_model(
                        model,
                        self.out,
                        format=name,
                        streaming=self.streaming,
                        chunk=self.chunk,
                        target=self.target,
                        batch=self.batch,
                        time=self.time,
                        metadata=metadata,
                        opset=self.opset,
                        require_native=self.require_native,
                        precision=self.precision,
                        calibration=self.calibration,
                        evaluate=evaluate,
                        max_metric_drop=self.max_metric_drop,
                    )
            except export.SeqzooExportError as error:
                failures.append(f"{name}: {error}")
            else:
                rows.append(_row(artifact))
        if not rows:
            remove_empty(made)
        if self.json:
            print_json(rows)
        elif rows:
            columns = ("format", "precision", "path", "bytes", "cases", "max_abs_error", "relative_error")
            print_table(columns, [[row[column] for column in columns] for row in rows])
        if failures:
            raise RecipeError("; ".join(failures))
        return 0

    def _check_out(self) -> None:
        if any(self.out.suffix == fmt.suffix for fmt in export.FORMATS.values()):
            raise RecipeError(f"--out is a folder, and {str(self.out)!r} names a file; pass {str(self.out.parent)!r}")

    def _formats(self) -> list[str]:
        if self.target is not None:
            return ["tflite"]
        return [name for name, fmt in export.FORMATS.items() if self.precision in fmt.tolerance]

    def _metadata(self) -> dict[str, Any]:
        if self.metadata is None:
            return {}
        try:
            metadata = json.loads(self.metadata.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"cannot read {self.metadata}: {error.strerror}") from error
        except ValueError as error:
            raise RecipeError(f"{self.metadata} is not JSON: {error}") from error
        if not isinstance(metadata, dict):
            raise RecipeError(f'{self.metadata} holds no JSON object, such as {{"labels": ["yes", "no"]}}')
        return metadata

    def _evaluate(self) -> Any:
        if self.data is None:
            return None
        arrays = export.load_arrays(self.data)
        if "targets" not in arrays:
            raise RecipeError(f"{self.data} holds no array 'targets', but {', '.join(arrays) or 'nothing'}")
        return export.evaluate_on(arrays, arrays.pop("targets"), self.metric)


def _row(artifact: Any) -> dict[str, Any]:
    report = artifact.report
    return {
        "format": artifact.format,
        "precision": report.precision,
        "path": str(artifact.path),
        "bytes": artifact.bytes,
        "cases": len(report.cases),
        "max_abs_error": max(output.max_abs for output in report.outputs),
        "relative_error": max(output.relative for output in report.outputs),
        "metrics": report.metrics,
        "left_in_float": [str(part) for part in report.left_in_float],
        "arena_bytes": report.arena_bytes,
        "passed": report.passed,
    }
