"""Models that jump: the sign, the largest or the whole part of numbers that are 0 but for rounding."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import export

L = keras.layers
JUMPS = {
    "sign": ops.sign,
    "floor": ops.floor,
    "largest": lambda y: ops.argmax(y, axis=-1),
    "one of several": lambda y: ops.one_hot(ops.argmax(y, axis=-1), 4),
}


def jumping(jump: Any, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    x = keras.Input((None, 4), name="x")
    return keras.Model(x, jump(3 * L.LSTM(4, return_sequences=True, name="lstm")(x)))


@pytest.mark.parametrize("which", JUMPS)
def test_a_jump_is_judged_where_the_model_itself_is_sure(which: str, tmp_path: Path) -> None:
    """Of extreme values onnxruntime's sigmoid gives 1.5e-8 where Keras gives 4e-18; both are 0 to float32 beside 1."""
    model = jumping(JUMPS[which])
    call = model.get_layer("lstm").call
    artifact = export.export_model(model, tmp_path / "m.onnx")
    assert artifact.report.unstable or artifact.report.undecided
    assert "extreme values" in {**artifact.report.unstable, **artifact.report.undecided}
    assert model.get_layer("lstm").call == call
    other = jumping(JUMPS[which])
    other.set_weights([1.3 * w + 0.05 * np.cos(np.arange(w.size)).reshape(w.shape) for w in model.get_weights()])
    assert not export.verify(other, artifact).passed


def test_an_output_of_as_many_rows_as_its_values_say_is_a_miss_and_no_crash(tmp_path: Path) -> None:
    class Unique(keras.layers.Layer):
        def call(self, h: Any) -> Any:
            return ops.unique(h)

    keras.utils.set_random_seed(0)
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, Unique()(L.LSTM(4, return_sequences=True)(x)))
    with pytest.raises(export.VerificationError, match=r"extreme values: shape \(\d+,\), the model's"):
        export.export_model(model, tmp_path / "m.onnx")
