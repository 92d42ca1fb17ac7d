"""ONE table of formats: arguments, error texts, the benchmark and the verifier's tolerances derive from it."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError


@dataclass(frozen=True)
class Tolerance:
    """An output passes where |artifact - keras| <= atol + rtol * |keras| for every element."""

    atol: float
    rtol: float


@dataclass(frozen=True)
class Format:
    """One way to write a model down.

    Attributes:
        name: What the user types.
        suffix: The artifact's suffix; a SavedModel is a folder.
        runtime: The package that runs the file.
        tolerance: Allowed difference from the Keras model for each precision.
    """

    name: str
    suffix: str
    runtime: str
    tolerance: dict[str, Tolerance]


# float32 rounds at 6e-8; a few hundred recurrent steps through saturating gates add up to about 1e-6 (measured),
# through unbounded activations (relu, linear) to a relative error of the same size.
_FLOAT32 = Tolerance(atol=2e-5, rtol=2e-4)

FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        Format("saved_model", ".saved_model", "tensorflow", {"float32": _FLOAT32}),
        Format("tflite", ".tflite", "ai-edge-litert", {"float32": _FLOAT32}),
        Format("onnx", ".onnx", "onnxruntime", {"float32": _FLOAT32}),
    )
}


def get_format(name: str) -> Format:
    """Looks a format up by name.

    Raises:
        ExportError: The name is unknown; suggests the near one.
    """
    if name in FORMATS:
        return FORMATS[name]
    near = difflib.get_close_matches(str(name), FORMATS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(FORMATS)}"
    raise ExportError(f"unknown format {name!r}; {hint}")


def format_of(path: Path) -> Format:
    """The format that a path's suffix stands for; a folder that holds saved_model.pb counts as a SavedModel.

    Raises:
        ExportError: No format has this suffix.
    """
    for fmt in FORMATS.values():
        if path.suffix == fmt.suffix:
            return fmt
    if (path / "saved_model.pb").exists():
        return FORMATS["saved_model"]
    known = ", ".join(f"{fmt.suffix} ({fmt.name})" for fmt in FORMATS.values())
    raise ExportError(f"cannot tell the format of {str(path)!r} from its suffix {path.suffix!r}; known are {known}")
