"""ONE table of formats: arguments, error texts, the benchmark and the verifier's tolerances derive from it."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError


@dataclass(frozen=True)
class Tolerance:
    """What an output may differ from the Keras model's.

    It passes where for every element |artifact - keras| <= atol + rtol * (the largest |keras| of its row, which is one
    example of the batch); with a `relative`, which fewer bits need, where in each case the root mean square of the
    difference is <= atol + relative * that of the model's values.
    """

    atol: float
    rtol: float
    relative: float | None = None


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
# Fewer bits: about five times the worst that was measured (docs/quantization.md), over LSTM, GRU and SimpleRNN of 16 to
# 200 units, with random weights and as Keras initialises them, over up to 290 steps: float16 1.0e-3, int8 3.2e-2. A
# wrong gate or a lost mask costs more than 0.3.
_FLOAT16 = Tolerance(atol=1e-4, rtol=0.0, relative=0.005)
_INT8 = Tolerance(atol=1e-3, rtol=0.0, relative=0.15)
_INT8_FULL = Tolerance(atol=1e-3, rtol=0.0, relative=0.25)
_INT16X8 = Tolerance(atol=1e-3, rtol=0.0, relative=0.1)

FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        Format("saved_model", ".saved_model", "tensorflow", {"float32": _FLOAT32}),
        Format(
            "tflite",
            ".tflite",
            "ai-edge-litert",
            {"float32": _FLOAT32, "float16": _FLOAT16, "int8": _INT8, "int8_full": _INT8_FULL, "int16x8": _INT16X8},
        ),
        Format(
            "onnx",
            ".onnx",
            "onnxruntime",
            {"float32": _FLOAT32, "float16": _FLOAT16, "int8": _INT8, "int8_full": _INT8_FULL},
        ),
    )
}

PRECISIONS = tuple(FORMATS["tflite"].tolerance)
"""From the most bits to the fewest, then those with 16-bit activations."""


def get_format(name: str) -> Format:
    """Looks a format up by name.

    Raises:
        ExportError: The name is unknown; suggests the near one.
    """
    if name in FORMATS:
        return FORMATS[name]
    raise ExportError(unknown_name("format", name, FORMATS))


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """What is wrong with a name that is not in a table, with the near one that is."""
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


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
