"""The verifier is proven by wrong artifacts: each mutant is a fault that an exporter could have, and each is caught.

All are mutants of the classifier: token ids, masked where 0, into an LSTM with square kernels.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
from export import saved_model
from export.trace import trace
from export.verification import compare
from tests.export import mutate_onnx, mutate_tflite

L = keras.layers

UNITS = 4


@pytest.fixture(scope="module")
def traced(model_of: Any) -> Any:
    return trace(model_of("classifier"), saved_model.lowering())


def caught(traced: Any, path: Path) -> list[str]:
    report = compare(traced, path)
    assert not report.passed
    with pytest.raises(export.VerificationError):
        report.raise_for_failure()
    return report.misses


@pytest.mark.parametrize("name", mutate_onnx.MUTANTS)
def test_onnx(name: str, traced: Any, artifact_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "mutant.onnx"
    mutate, word = mutate_onnx.MUTANTS[name]
    mutate_onnx.apply(mutate, artifact_of("classifier", "onnx").path, path)
    assert any(word in miss for miss in caught(traced, path))


@pytest.mark.parametrize("name", mutate_tflite.MUTANTS)
def test_litert(name: str, traced: Any, artifact_of: Any, model_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "mutant.tflite"
    mutate, word = mutate_tflite.MUTANTS[name]
    mutate_tflite.apply(mutate, artifact_of("classifier", "tflite").path, path, model_of("classifier"))
    assert any(word in miss for miss in caught(traced, path))


def flip(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> None:
    recurrent[1, 2] *= -1


def swap(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> None:
    for weights in (kernel, recurrent, bias):
        weights[..., : 2 * UNITS] = np.roll(weights[..., : 2 * UNITS], UNITS, axis=-1)


def drop(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> None:
    bias[:] = 0


def transpose(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> None:
    recurrent[:, :UNITS] = recurrent[:, :UNITS].T.copy()


def not_a_number(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> None:
    kernel[0, 0] = np.nan


WEIGHTS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], None]] = {
    "a weight's sign": flip, "two gates swapped": swap, "no bias": drop, "transposed": transpose, "NaN": not_a_number
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
def test_saved_model_with_wrong_weights(
    name: str, traced: Any, artifact_of: Any, model_of: Any, tmp_path: Path
) -> None:
    loaded = tf.saved_model.load(str(artifact_of("classifier", "saved_model").path))
    weights = [w.numpy() for w in model_of("classifier").get_layer("lstm").weights]
    changed = [w.copy() for w in weights]
    WEIGHTS[name](*changed)
    for variable in loaded.variables_of_model:
        for old, new in zip(weights, changed, strict=True):
            if variable.shape == old.shape and np.array_equal(variable.numpy(), old):
                variable.assign(new)
    path = tmp_path / "mutant.saved_model"
    tf.saved_model.save(loaded, str(path), signatures=dict(loaded.signatures))
    assert caught(traced, path)


class Wrapped(tf.Module):
    """A right SavedModel with something wrong around it."""

    def __init__(self, path: Path, wrong: str) -> None:
        super().__init__()
        self.loaded = tf.saved_model.load(str(path))
        self.state = tf.Variable(0.0)
        self.wrong = wrong

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, "token_ids")])
    def serve(self, token_ids: Any) -> dict[str, Any]:
        logits = self.loaded.signatures["serving_default"](token_ids=token_ids)["logits"]
        if self.wrong == "name":
            return {"output_0": logits}
        if self.wrong == "dtype":
            return {"logits": tf.cast(logits, tf.float64)}
        if self.wrong == "shape":
            return {"logits": logits[:, None]}
        if self.wrong == "extra":
            return {"logits": logits, "more": logits}
        kept = logits + self.state
        self.state.assign(0.1 * tf.reduce_mean(tf.abs(logits)))
        return {"logits": kept}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ("name", "'logits' is missing"),
        ("dtype", "dtype"),
        ("shape", "shape"),
        ("extra", "2 outputs"),
        ("state", "leaks"),
    ],
)
def test_saved_model_with_a_wrong_interface(
    wrong: str, word: str, traced: Any, artifact_of: Any, tmp_path: Path
) -> None:
    module = Wrapped(artifact_of("classifier", "saved_model").path, wrong)
    path = tmp_path / "mutant.saved_model"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    assert any(word in miss for miss in caught(traced, path))


def test_litert_with_a_state_that_survives_into_the_next_call(traced: Any, artifact_of: Any, tmp_path: Path) -> None:
    """The fault that fused LSTM files have: right on the first call, wrong on the second."""
    module = Wrapped(artifact_of("classifier", "saved_model").path, "state")
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    converter.experimental_enable_resource_variables = True
    path = tmp_path / "mutant.tflite"
    path.write_bytes(converter.convert())
    assert any("run again (state leaks)" in miss for miss in caught(traced, path))


def _shifted(ids: Any) -> Any:
    valid = ids != 0
    return tf.concat([valid[:, 1:], valid[:, -1:]], axis=1)


# The model's own layers put together wrongly: what a faulty lowering of masks or direction computes.
WRONG_MODELS: dict[str, Callable[[keras.Model, Any], Any]] = {
    "mask off by one": lambda m, ids: m.get_layer("lstm")(m.get_layer("embedding")(ids), mask=L.Lambda(_shifted)(ids)),
    "no mask": lambda m, ids: m.get_layer("lstm")(m.get_layer("embedding")(ids), mask=ids > -1),
    "backwards": lambda m, ids: m.get_layer("lstm")(m.get_layer("embedding")(ids[:, ::-1])),
    "a step too few": lambda m, ids: m.get_layer("lstm")(m.get_layer("embedding")(ids[:, :-1])),
}


@pytest.mark.parametrize("fmt", ["saved_model", pytest.param("onnx", marks=pytest.mark.slow), "tflite"])
@pytest.mark.parametrize("name", WRONG_MODELS)
def test_a_wrongly_lowered_mask_or_direction(name: str, fmt: str, traced: Any, model_of: Any, tmp_path: Path) -> None:
    model = model_of("classifier")
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    wrong = keras.Model(ids, model.get_layer("logits")(WRONG_MODELS[name](model, ids)), name="classifier")
    artifact = export.export_model(wrong, tmp_path / "out", format=fmt, verify=False)
    assert caught(traced, artifact.path)


def test_verify_catches_what_compare_does(artifact_of: Any, model_of: Any, tmp_path: Path) -> None:
    source = artifact_of("classifier", "onnx").path
    path = tmp_path / "mutant.onnx"
    mutate_onnx.apply(mutate_onnx.MUTANTS["a weight's sign"][0], source, path)
    assert not export.verify(model_of("classifier"), path).passed
    shutil.copy(source, path)
    assert export.verify(model_of("classifier"), path).passed


@pytest.mark.parametrize("name", ["kernel", "recurrent_kernel", "bias"])
def test_a_model_that_was_trained_on_no_longer_matches(name: str, artifact_of: Any, model_of: Any) -> None:
    """Also a small change is seen: one weight of hundreds, by a tenth."""
    artifact = artifact_of("classifier", "tflite")
    weights = getattr(model_of("classifier").get_layer("lstm").cell, name)
    before = weights.numpy()
    changed = before.copy()
    changed.flat[np.abs(changed).argmax()] *= 1.1
    try:
        weights.assign(changed)
        assert not export.verify(model_of("classifier"), artifact).passed
    finally:
        weights.assign(before)
