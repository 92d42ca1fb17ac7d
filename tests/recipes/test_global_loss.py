"""The parts of a batch's loss add up to Keras's own loss of the whole batch."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from recipes import global_loss
from recipes.global_loss import Share

RANDOM = np.random.default_rng(0)
ROWS, TIME, CLASSES = 7, 5, 4
LOGITS = RANDOM.normal(size=(ROWS, TIME, CLASSES)).astype("float32")
LABELS = RANDOM.integers(0, CLASSES, (ROWS, TIME)).astype("int32")
WEIGHTS = RANDOM.uniform(0, 2, (ROWS, TIME)).astype("float32")
MASK = np.arange(TIME) < np.array([5, 4, 1, 2, 3, 5, 1])[:, None]


class Known:
    """A team whose sums over the replicas are known: `totals` is what the parts of all give together."""

    def __init__(self, totals):
        self.totals = totals

    def sum(self, tensors):
        return [self.totals]


class NoLosses:
    losses = ()


def summed(loss, cuts, *, weights=None, mask=None, targets=LABELS, outputs=LOGITS, stand_in=False):
    """The loss as replicas with the rows between the cuts compute it."""
    each = []
    for start, stop in itertools.pairwise(cuts):
        logits = tf.constant(outputs[start:stop])
        if mask is not None:
            logits._keras_mask = tf.constant(mask[start:stop])
        part = None if weights is None else tf.constant(weights[start:stop])
        each.append((Share(None, tf.constant(targets[start:stop]), part, tf.ones([stop - start])), logits))
    if stand_in:
        share, logits = each[-1]
        row = Share(None, share.targets[:1], None if weights is None else share.weights[:1], tf.zeros([1]))
        each.append((row, logits[:1] * np.nan))
    parts = [global_loss.parts(NoLosses(), loss, share, logits, training=True) for share, logits in each]
    sizes = [sum(float(part.sizes[0]) for part in parts) if parts[0].sizes[0] is not None else 0.0]
    team = Known(tf.constant([*sizes, sum(float(part.rows) for part in parts), 3.0]))
    given = [part.shared(team, 1.0) for part in parts]
    assert all(float(rows) == cuts[-1] for _, rows, _ in given)
    return sum(float(loss) for loss, _, _ in given)


@pytest.mark.parametrize("stand_in", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_parts_add_up_to_kerass_loss(reduction, weighted, masked, stand_in):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    weights, mask = WEIGHTS if weighted else None, MASK if masked else None
    logits = tf.constant(LOGITS)
    if masked:
        logits._keras_mask = tf.constant(MASK)
    wanted = float(loss(LABELS, logits, sample_weight=weights))
    for cuts in ([0, ROWS], [0, 3, ROWS], [0, 1, 2, ROWS], [0, 5, 6, ROWS]):
        assert summed(loss, cuts, weights=weights, mask=mask, stand_in=stand_in) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["mean_squared_error", "huber"])
def test_a_loss_by_name(name):
    targets = RANDOM.normal(size=(ROWS, CLASSES)).astype("float32")
    outputs = RANDOM.normal(size=(ROWS, CLASSES)).astype("float32")
    wanted = float(np.mean(keras.losses.get(name)(targets, outputs)))
    assert summed(name, [0, 2, ROWS], targets=targets, outputs=outputs) == pytest.approx(wanted, rel=1e-5)


def test_each_output_has_its_loss():
    loss = {"a": keras.losses.MeanSquaredError(), "b": keras.losses.MeanAbsoluteError(reduction="sum"), "c": None}
    targets = {name: RANDOM.normal(size=(ROWS, 2)).astype("float32") for name in loss}
    outputs = {name: tf.constant(RANDOM.normal(size=(ROWS, 2)).astype("float32")) for name in loss}
    share = Share(None, targets, None, tf.ones([ROWS]))
    parts = global_loss.parts(NoLosses(), loss, share, outputs, training=True)
    got = float(parts.shared(Known(tf.constant([ROWS, 1.0, ROWS, 0.0])), 0.0)[0])
    wanted = sum(float(loss[name](targets[name], outputs[name])) for name in "ab")
    assert got == pytest.approx(wanted, rel=1e-5)


def test_losses_of_layers_are_means_over_the_rows():
    class Adding:
        losses = (tf.constant(2.0), tf.constant([1.0, 3.0]))

    share = Share(None, LABELS, None, tf.ones([ROWS]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    parts = global_loss.parts(Adding(), loss, share, tf.constant(LOGITS), training=True)
    # 7 of 28 rows are here: a quarter of 2 + 1 + 3.
    got = float(parts.shared(Known(tf.constant([1.0, 4.0 * ROWS, 0.0])), 0.0)[0])
    assert got == pytest.approx(float(loss(LABELS, LOGITS)) + 1.5, rel=1e-5)


def test_metrics_count_no_row_that_stands_in():
    real = tf.constant([1.0] * (ROWS - 1) + [0.0])
    weights = Share(None, LABELS, None, real).weights_for(tf.constant(LOGITS))
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    accuracy.update_state(LABELS, LOGITS, sample_weight=weights)
    assert float(accuracy.result()) == pytest.approx((LOGITS.argmax(-1) == LABELS)[:-1].mean())
