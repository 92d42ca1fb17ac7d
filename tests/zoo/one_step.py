"""Builds every registered model and takes one training step, on whatever backend Keras has: `python -m ...`.

Prints one line of JSON: model -> what went wrong, "" for nothing.
"""

import json
from typing import Any

import keras
import numpy as np

import zoo
from tests.zoo.support import build, call, random_inputs


def one_step(name: str) -> None:
    """Raises where the model can't be built, called or trained, or training changes nothing."""
    spec = zoo.get_spec(name)
    model, inputs = build(name, dict(spec.tiny)), random_inputs(spec, dict(spec.tiny))
    outputs = call(model, inputs)
    for value in keras.tree.flatten(outputs):
        assert np.isfinite(keras.ops.convert_to_numpy(value)).all(), "an output is not finite"
    labels, loss = _labels(model, outputs)
    # Adam: a step of equal size for each weight, however small its gradient.
    model.compile("adam", loss=loss)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    result = model.train_on_batch(inputs if len(inputs) > 1 else next(iter(inputs.values())), labels)
    assert np.isfinite(np.ravel(result)).all(), "the loss is not finite"
    after = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    moved = [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
    assert all(moved), f"not trained: {[w.path for w, m in zip(model.trainable_weights, moved, strict=True) if not m]}"


def _labels(model: keras.Model, outputs: Any) -> tuple[Any, Any]:
    """What to train towards, and by which loss; a model with a loss of its own needs none."""
    if type(model).compute_loss is not keras.Model.compute_loss:
        return np.ones(outputs["logits"].shape[:-1], "int32"), None
    rng = np.random.default_rng(0)
    return keras.tree.map_structure(lambda value: rng.normal(size=tuple(value.shape)), outputs), "mse"


if __name__ == "__main__":
    wrong = {}
    for name in zoo.list_models():
        try:
            one_step(name)
            wrong[name] = ""
        except Exception as error:  # a report on all of them is worth more than the first one's traceback
            wrong[name] = f"{type(error).__name__}: {error}"
    print(json.dumps({"backend": keras.backend.backend(), "wrong": wrong}))
