"""Models whose layers Keras quantized itself: exported where the format has their ops, else refused in one line."""

from pathlib import Path

import keras
import pytest

import export

L = keras.layers


def quantized(mode: str) -> keras.Model:
    x = keras.Input((None, 6), name="x")
    model = keras.Model(x, L.Dense(4, name="y")(L.LSTM(8, return_sequences=True)(x)))
    model.quantize(mode)
    return model


@pytest.mark.parametrize(("mode", "fmt"), [("int8", "tflite"), ("float8", "onnx")])
@pytest.mark.parametrize("streaming", [False, True])
def test_layers_that_keras_quantized_are_refused_where_the_format_lacks_their_ops(
    mode: str, fmt: str, streaming: bool, tmp_path: Path
) -> None:
    model = quantized(mode)
    with pytest.raises(
        export.QuantizationError, match=rf"layer 'y' was quantized by Keras \({mode}\).*precision='int8'$"
    ):
        export.export_model(model, tmp_path, fmt, streaming=streaming)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("mode", "fmt"), [("int8", "onnx"), ("int4", "tflite"), ("int8", "saved_model")])
def test_layers_that_keras_quantized_are_exported_where_the_format_has_their_ops(
    mode: str, fmt: str, tmp_path: Path
) -> None:
    model = quantized(mode)
    assert export.export_model(model, tmp_path, fmt).report.passed
