"""LiteRT files in fewer bits, by the LiteRT converter: its own options, and the calibration of its result."""

import dataclasses
from typing import Any

from export.errors import QuantizationError
from export.quantization_child import TIMEOUT, Feed, calibrate_in_child
from export.quantization_signatures import put_back, set_aside

CALIBRATED = ("int8_full", "int16x8")
"""Precisions whose activations are integers as well: their ranges come from calibration data."""


@dataclasses.dataclass(frozen=True)
class TfliteQuantizer:
    """How a LiteRT file gets its precision.

    Attributes:
        precision: `float16`, `int8` (dynamic range: weights are stored as integers, each product quantizes its input
            anew), `int8_full` or `int16x8` (calibrated).
        feeds: Calibration data: (signature, arrays by the names of the traced function's arguments).
        integer_ports: Calibrated precisions only: inputs, outputs and states are integers too; a signature without
            inputs (`reset`) keeps its float32.
        timeout: Seconds to wait for the calibration.
    """

    precision: str
    feeds: tuple[Feed, ...] = ()
    integer_ports: bool = False
    timeout: float = TIMEOUT

    def configure(self, converter: Any) -> None:
        """Sets what a `tf.lite.TFLiteConverter` does itself."""
        import tensorflow as tf

        if self.precision in ("float16", "int8"):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]

    def calibrate(self, content: bytes) -> bytes:
        """Quantizes the converter's file with the calibration data, in a child process.

        Args:
            content: The file as the converter wrote it: the calibrator asks for its tensors' names. Every signature
                that has inputs needs feeds.

        Raises:
            QuantizationError: The file holds a loop, or the calibrator failed; says why.
        """
        if self.precision not in CALIBRATED:
            return content
        if has_loop(content):
            raise QuantizationError(f"LiteRT cannot calibrate a while loop for {self.precision}; {NEAREST_TO_A_LOOP}")
        content, asides = set_aside(content)
        quantized = calibrate_in_child(
            "tflite", content, self.precision, self.feeds, integer_ports=self.integer_ports, timeout=self.timeout
        )
        return put_back(quantized, asides)


NEAREST_TO_A_LOOP = (
    "the nearest that works: precision 'int8' for the whole sequence, or this precision for the step model "
    "(streaming=True), which has no loop"
)


def has_loop(content: bytes) -> bool:
    """Whether a LiteRT file holds a while loop."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    return any(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == schema.BuiltinOperator.WHILE for code in codes)
