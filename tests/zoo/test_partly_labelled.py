"""Models that give their weights too train on labels of the logits alone, with metrics and weighted samples."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.zoo.support import build, outputs_of, random_inputs
from zoo import get_spec
from zoo.layers import PartlyLabelledModel

REQUESTS = {
    "memory_network": {"return_weights": True},
    "neural_turing_machine": {"return_weights": True},
    "attention_memory": {"return_weights": True},
    "attention_encoder_decoder": {"return_attention": True},
}


def compiled(name: str, **fields: Any) -> tuple[keras.Model, dict[str, np.ndarray], np.ndarray]:
    spec = get_spec(name)
    model = build(name, {**spec.tiny, **fields})
    inputs = random_inputs(spec, dict(spec.tiny), batch=6)
    loss = {"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)} if fields else None
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = {"logits": ["accuracy"]} if fields else ["accuracy"]
    # Eagerly: tracing would take longer than the step.
    model.compile("adam", loss, metrics=metrics, run_eagerly=True)
    logits = np.asarray(outputs_of(model, inputs)["logits"])
    return model, inputs, np.random.default_rng(0).integers(0, logits.shape[-1], logits.shape[:-1])


@pytest.mark.parametrize("name", REQUESTS)
def test_labels_of_the_logits_suffice(name: str, tmp_path: Path) -> None:
    model, inputs, labels = compiled(name, **REQUESTS[name])
    x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    assert isinstance(model, PartlyLabelledModel)
    history = model.fit(x, {"logits": labels}, verbose=0).history
    assert set(history) >= {"loss", "logits_accuracy"}
    weights = {"logits": np.ones(labels.shape, "float32")}
    judged = model.evaluate(x, {"logits": labels}, sample_weight=weights, verbose=0, return_dict=True)
    right = outputs_of(model, inputs)["logits"].argmax(-1) == labels
    assert judged["logits_accuracy"] == pytest.approx(right.mean())
    # The plain model of the same weights says the same, and learns the same.
    plain, *_ = compiled(name)
    plain.set_weights(model.get_weights())
    plain_judged = plain.evaluate(x, labels, verbose=0, return_dict=True)
    assert plain_judged["loss"] == pytest.approx(judged["loss"], rel=1e-5)
    assert plain_judged["accuracy"] == pytest.approx(judged["logits_accuracy"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(x, {"logits": labels}, verbose=0, return_dict=True)["loss"] == pytest.approx(judged["loss"])
