"""The precision of an artifact: what can be had, what must be given for it, and how it is made.

float16    Weights in 16 bits; all arithmetic in float32.
int8       LiteRT: dynamic range, products of integers, the rest in float32. ONNX: the LSTM in integers, every other
           weight stored in 8 bits.
int8_full  Activations are integers too. LiteRT: step models and models without recurrent layers; ONNX: the latter.
int16x8    The same with activations of 16 bits. LiteRT only.

Inputs and outputs stay float32 in all of them. A SavedModel has float32 only.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from export.calibration import Arrays, Calibration, calibration_feeds
from export.errors import QuantizationError
from export.formats import FORMATS, PRECISIONS, Format, unknown_name
from export.quality import Evaluate
from export.quantization_child import TIMEOUT
from export.quantization_onnx import quantize_onnx
from export.quantization_tflite import CALIBRATED, NEAREST_TO_A_LOOP, TfliteQuantizer
from export.tflite import SIGNATURE
from export.trace import Traced

_LOOPS = ("While", "StatelessWhile")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What precision the caller wants, and what it may cost; the arguments of `export_model`.

    Attributes:
        precision: One of `PRECISIONS`.
        calibration: Typical inputs.
        evaluate: Computes the task's metrics.
        max_metric_drop: By how many points the main one may be worse.
    """

    precision: str = "float32"
    calibration: Calibration | None = None
    evaluate: Evaluate | None = None
    max_metric_drop: float | None = 1.0

    def check(self, fmt: Format, target: str | None = None) -> None:
        """Refuses what can be refused before the model is looked at.

        Args:
            fmt: The artifact's format.
            target: `micro` has no precision between float32 and the calibrated ones.

        Raises:
            QuantizationError: The precision is unknown, the format lacks it, or it needs calibration data.
        """
        if self.precision not in PRECISIONS:
            raise QuantizationError(unknown_name("precision", self.precision, PRECISIONS))
        if self.precision not in fmt.tolerance:
            raise QuantizationError(_lacking(fmt, self.precision))
        if self.precision in CALIBRATED and self.calibration is None:
            raise QuantizationError(
                f"{self.precision} needs calibration data: pass calibration=, a few hundred typical inputs by name; "
                f"the nearest that works without: precision {'float32' if target else 'int8'!r}"
            )
        if self.max_metric_drop is not None and not self.max_metric_drop >= 0:
            raise QuantizationError(
                f"max_metric_drop={self.max_metric_drop!r} must be at least 0 points, or None for any loss"
            )

    def quantizer(self, traced: Traced, fmt: Format) -> "Quantizer":
        """`make_quantizer` for the whole-sequence model."""
        return make_quantizer(traced, fmt, self.precision, self.calibration)


def _lacking(fmt: Format, precision: str) -> str:
    others = [name for name, other in FORMATS.items() if precision in other.tolerance]
    own = [name for name in fmt.tolerance if name in ("int8", "float32")][-1]
    why = {"saved_model": "TensorFlow runs it in the types it was saved in", "onnx": "onnxruntime has no such kernels"}
    return (
        f"{fmt.name} has no {precision}: {why[fmt.name]}; "
        f"the nearest that works: {precision} as {' or '.join(others)}, or {fmt.name} in {own}"
    )


@dataclasses.dataclass(frozen=True)
class Quantizer:
    """How a model's artifact gets its precision.

    Attributes:
        precision: Its name.
        feeds: Calibration data by the model's input names; empty where none were given.
        tflite: What the LiteRT converter is told; None for float32.
        timeout: Seconds to wait for a calibration.
    """

    precision: str
    feeds: tuple[Arrays, ...]
    tflite: TfliteQuantizer | None
    timeout: float = TIMEOUT

    def onnx(self, content: bytes) -> bytes:
        """A float32 ONNX file in this precision.

        Raises:
            QuantizationError: A tool failed; says why.
        """
        if self.precision == "float32":
            return content
        return quantize_onnx(content, self.precision, [("", feed) for feed in self.feeds], timeout=self.timeout)


def make_quantizer(
    traced: Traced,
    fmt: Format,
    precision: str,
    calibration: Calibration | None,
    *,
    signature: str = SIGNATURE,
    timeout: float = TIMEOUT,
) -> Quantizer:
    """Everything that can go wrong before a conversion starts goes wrong here.

    Args:
        traced: The function to calibrate: the model, or its step.
        fmt: The artifact's format.
        precision: One that `Wish.check` let pass.
        calibration: The calibration data; `calibration.step_feeds` makes them for a step.
        signature: The function's signature in a LiteRT file.
        timeout: Seconds to wait for the calibration.

    Raises:
        QuantizationError: The model cannot be calibrated in this format, or the data do not fit.
    """
    if precision in CALIBRATED:
        _refuse_recurrence(traced, fmt, precision)
    if precision == "int16x8":
        _refuse_integers(traced)
    feeds = () if calibration is None else tuple(calibration_feeds(calibration, traced.signature.inputs))
    names = traced.arguments
    renamed = tuple((signature, {names[name]: array for name, array in feed.items()}) for feed in feeds)
    tflite = None if precision == "float32" else TfliteQuantizer(precision, renamed, timeout=timeout)
    return Quantizer(precision, feeds, tflite, timeout)


def refused_by_keras(model: keras.Model, fmt: Format) -> QuantizationError | None:
    """Why a converter failed on a model whose layers Keras quantized itself (`model.quantize`); None for another."""
    for layer in model._flatten_layers():
        if mode := getattr(layer, "quantization_mode", None):
            precision = ", with precision='int8'" if "int8" in fmt.tolerance else ""
            return QuantizationError(
                f"layer {layer.name!r} was quantized by Keras ({mode}), in ops that {fmt.name} lacks; export the model "
                f"as it was before quantize(){precision}"
            )
    return None


def _refuse_integers(traced: Traced) -> None:
    """The calibrator asks for the range of every input, and of integers it records none; it says so at the very end."""
    for port in traced.signature.inputs:
        if np.dtype(port.dtype).kind in "iu":
            raise QuantizationError(
                f"input or state {port.name!r} is {port.dtype}, which LiteRT cannot calibrate for int16x8; the nearest "
                "that works: precision 'int8_full'"
            )


def _refuse_recurrence(traced: Traced, fmt: Format, precision: str) -> None:
    layers = ", ".join(dict.fromkeys(repr(note.layer) for note in traced.notes))
    if fmt.name == "tflite" and holds_loop(traced):
        what = f"layer {layers} is" if layers else "the model holds"
        raise QuantizationError(
            f"{what} a while loop over the sequence, which LiteRT cannot calibrate for {precision}; {NEAREST_TO_A_LOOP}"
        )
    if fmt.name == "onnx" and (layers or holds_loop(traced)):
        raise QuantizationError(
            f"onnxruntime has no calibrated kernel for recurrent layers ({layers or 'a loop'}); the nearest that "
            f"works: precision 'int8', or {precision} of the step model as tflite"
        )


def holds_loop(traced: Traced) -> bool:
    """Whether the traced graph holds a while loop."""
    graph = traced.function.graph.as_graph_def()
    bodies: Sequence[Sequence[object]] = [graph.node, *(function.node_def for function in graph.library.function)]
    return any(getattr(node, "op", "") in _LOOPS for nodes in bodies for node in nodes)
