"""Two directions: what stands later reaches what comes out earlier, so that no step can be taken alone."""

from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests.zoo.support import build, call, outputs_of

NAMES = zoo.list_models("bidirectional_*")
X = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32")
FIELDS = {"features": 3, "classes": 2, "units": (5, 4), "cell": "gru"}


def changed_from(step: int) -> np.ndarray:
    later = X.copy()
    later[:, step:] += 1
    return later


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul"])
def test_it_says_that_it_is_not_streamable(name: str, merge: str) -> None:
    spec = zoo.get_spec(name)
    assert spec.streamable is False
    assert spec.is_streamable(merge=merge) is False
    assert name in zoo.list_models(streamable=False)


@pytest.mark.parametrize("fields", [{"merge": "sum"}, {"units": (3,)}, {"cell": "lstm_peephole"}], ids=str)
def test_a_tagger_reads_the_future_at_every_step(fields: dict[str, Any]) -> None:
    model = build("bidirectional_tagger", {**FIELDS, **fields})
    before, after = (np.asarray(call(model, {"features": x})) for x in (X, changed_from(6)))
    # Each of the steps before the change, the first one too.
    assert (np.abs(after - before)[:, :6].max(axis=(0, 2)) > 1e-5).all()
    # The same stack with one direction does not.
    one = build("sequence_tagger", {**FIELDS, "units": fields.get("units", FIELDS["units"])})
    before, after = (np.asarray(call(one, {"features": x})) for x in (X, changed_from(6)))
    np.testing.assert_array_equal(after[:, :6], before[:, :6])


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_a_classifier_reads_backwards_what_forwards_is_forgotten(pooling: str) -> None:
    """With a forward direction that hears nothing, the class still depends on the whole sequence."""
    model = build("bidirectional_classifier", {**FIELDS, "units": (4,), "cell": "simple_rnn", "pooling": pooling})
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Bidirectional))
    layer.forward_layer.set_weights([np.zeros_like(weight) for weight in layer.forward_layer.get_weights()])
    before = outputs_of(model, {"features": X})["logits"]
    for step in (0, 4, 8):
        assert np.abs(outputs_of(model, {"features": changed_from(step)})["logits"] - before).max() > 1e-6
