"""Order, buckets, padding, windows: against plain loops over the same examples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from recipes import bptt, judging, pipelines
from recipes.data import Data, Ragged, Split, Stream
from recipes.errors import RecipeError, UsageError
from recipes.models import build, suited
from recipes.portions import Portion
from recipes.recipe import RecipeConfig

RANDOM = np.random.default_rng(3)


def sentences(count: int, longest: int = 60) -> list[np.ndarray]:
    return [RANDOM.integers(1, 50, RANDOM.integers(1, longest + 1)) for _ in range(count)]


def ragged_split(count: int) -> Split:
    rows = Ragged.of(sentences(count), dtype="int32")
    return Split({"token_ids": rows}, Ragged.of([row % 5 for row in rows], dtype="int32"))


def part(split: Split | Stream) -> Data:
    return Data(split, split, split if isinstance(split, Split) else None, "made for a test")


def test_ragged_rows_come_back():
    rows = [*sentences(7), np.zeros(0, int)]
    ragged = Ragged.of(rows, dtype="int32", padding=-1)
    assert len(ragged) == 8
    for index, row in enumerate(rows):
        np.testing.assert_array_equal(ragged[index], row)
    chosen = np.array([7, 2, 0])
    padded, mask = ragged.padded(chosen), ragged.mask(chosen)
    longest = max(len(rows[index]) for index in chosen)
    assert padded.shape == mask.shape == (3, longest)
    for row, index, flags in zip(padded, chosen, mask, strict=True):
        length = len(rows[index])
        np.testing.assert_array_equal(row[:length], rows[index])
        assert (row[length:] == -1).all()
        np.testing.assert_array_equal(flags, np.arange(longest) < length)


def test_an_epoch_has_every_example_once_with_its_own_target():
    split = ragged_split(530)
    model = zoo.create_model("sequence_tagger", vocabulary=50, classes=5, units=(2,))
    batches = list(pipelines.training_stream(part(split), model, batch_size=64, seed=1, first=0, epochs=1))
    assert len(batches) == pipelines.steps_per_epoch(split, 64) == 9
    found = []
    for x, y, weight in batches:
        assert x.shape == y.shape == weight.shape
        for ids, targets, mask in zip(x.numpy(), y.numpy(), weight.numpy(), strict=True):
            length = int(mask.sum())
            assert mask[:length].all()
            assert not ids[length:].any()
            np.testing.assert_array_equal(targets[:length], ids[:length] % 5)
            found.append(ids[:length].tolist())
    assert sorted(found) == sorted(row.tolist() for row in split.inputs["token_ids"])


def test_the_number_of_steps_is_known_and_epochs_differ():
    split = ragged_split(100)
    model = zoo.create_model("sequence_tagger", vocabulary=50, classes=5, units=(2,))

    def stream(**changes):
        arguments = {"batch_size": 16, "seed": 0, "first": 0, "epochs": 2} | changes
        return pipelines.training_stream(part(split), model, **arguments)

    assert int(stream().cardinality()) == 14
    both, second = [x.numpy() for x, *_ in stream()], [x.numpy() for x, *_ in stream(first=1)]
    for whole, resumed in zip(both[7:], second, strict=True):
        np.testing.assert_array_equal(whole, resumed)
    assert [x.shape for x in both[:7]] != [x.shape for x in both[7:]]


def test_buckets_save_padding():
    split = ragged_split(4000)
    lengths = split.inputs["token_ids"].lengths
    share = pipelines.padding_share(split, 32)
    order = np.random.default_rng(0).permutation(4000).reshape(-1, 32)
    unsorted = 1 - lengths.sum() / (lengths[order].max(axis=1) * 32).sum()
    assert share < 0.05 < 0.3 < unsorted
    # Counted in the batches themselves
    batches = list(pipelines.epoch_batches(split, 32, np.random.default_rng([0, 0])))
    padding = sum((ids["token_ids"] == 0).sum() for ids, *_ in batches) / sum(
        ids["token_ids"].size for ids, *_ in batches
    )
    assert share == pytest.approx(padding)


def test_a_stream_is_read_in_rows_that_go_on():
    text = np.arange(1003)
    stream = Stream({"token_ids": text[:-1]}, text[1:], window=16)
    windows = list(pipelines.epoch_batches(stream, 4, None))
    assert len(windows) == stream.windows(4) == 16
    x, y = (
        np.concatenate([pick(window) for window in windows], 1)
        for pick in (lambda w: w[0]["token_ids"], lambda w: w[1])
    )
    np.testing.assert_array_equal(x, np.arange(1000).reshape(4, 250))
    np.testing.assert_array_equal(y, x + 1)


def test_states_are_carried_over_windows_and_forgotten_between_texts():
    keras.utils.set_random_seed(0)
    model = zoo.create_model("language_model", vocabulary=20, units=(6, 5), embedding=4)
    twin = bptt.carrying(model, 2)
    ids = RANDOM.integers(1, 20, (2, 12))
    whole = model.predict(ids, verbose=0)
    parts = [twin.predict_on_batch(ids[:, at : at + 4]) for at in (0, 4, 8)]
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5)
    bptt.forget(twin)
    np.testing.assert_allclose(twin.predict_on_batch(ids[:, :4]), whole[:, :4], atol=1e-5)


def test_weights_go_back_to_the_model():
    model = zoo.create_model("language_model", vocabulary=20, units=(6,), embedding=4)
    twin = bptt.carrying(model, 2)
    for variable in twin.trainable_variables:
        variable.assign_add(tf.ones(variable.shape))
    bptt.copy_weights(twin, model)
    ids = RANDOM.integers(1, 20, (2, 5))
    np.testing.assert_allclose(model.predict(ids, verbose=0), twin.predict_on_batch(ids), atol=1e-5)


def test_a_model_that_reads_the_future_has_nothing_to_carry():
    model = zoo.create_model("bidirectional_tagger", vocabulary=20, classes=3, units=(4,))
    with pytest.raises(RecipeError, match="reads the future"):
        bptt.carrying(model, 2)


def test_outputs_come_in_order_and_without_padding():
    split = ragged_split(300)
    calls = []

    def runtime(inputs):
        calls.append(inputs["token_ids"].shape)
        return {"logits": np.stack([inputs["token_ids"]] * 2, -1).astype("float32")}

    outputs = judging.outputs_on(RecipeConfig(), runtime, split)["logits"]
    assert max(count for count, _ in calls) <= judging.BATCH
    assert len(outputs) == 300
    for got, ids in zip(outputs, split.inputs["token_ids"], strict=True):
        np.testing.assert_array_equal(got[:, 0], ids)


def test_long_examples_share_no_call():
    split = Split({"token_ids": Ragged.of([np.ones(judging.STEPS - 1, int), [1], [2]], dtype="int32")}, np.arange(3))
    shapes = []

    def runtime(inputs):
        shapes.append(inputs["token_ids"].shape)
        return {"first": inputs["token_ids"][:, 0]}

    np.testing.assert_array_equal(judging.outputs_on(RecipeConfig(), runtime, split)["first"], [1, 1, 2])
    assert shapes == [(2, 1), (1, judging.STEPS - 1)]


def test_keras_is_asked_through_one_graph():
    model = zoo.create_model("sequence_tagger", vocabulary=50, classes=5, units=(3,))
    predict = judging.keras_predict(model)
    for shape in ((1, 7), (3, 2)):
        ids = RANDOM.integers(1, 50, shape)
        np.testing.assert_allclose(predict({"token_ids": ids})["logits"], model.predict(ids, verbose=0), atol=1e-6)


def digits(**fields):
    import recipes

    return recipes.recipe.configure(recipes.get_recipe("digits"), fields)


def test_any_model_of_the_shape_serves_a_recipe():
    task = {"features": 8, "classes": 10}
    model = build(digits(units=(5,)), "bidirectional_classifier", "sequence_classifier", task)
    assert model.name == "bidirectional_classifier"
    assert 5 in {layer.forward_layer.units for layer in model.layers if isinstance(layer, keras.layers.Bidirectional)}


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("sequence_clasifier", {}, "sequence_classifier"),
        ("crf_tagger", {}, "is many-to-many, not many-to-one; choose from bidirectional_classifier"),
        ("memory_network", {}, "has no features"),
        ("bidirectional_classifier", {"bidirectional": True}, "has no bidirectional; leave out --bidirectional"),
    ],
)
def test_other_models_are_refused(name, fields, message):
    with pytest.raises(UsageError, match=message):
        build(digits(**fields), name, "sequence_classifier", {"features": 8, "classes": 10})


def test_a_width_in_the_form_that_a_model_has():
    single, stack = (zoo.get_spec(name).fields["units"] for name in ("clockwork_rnn", "stacked_rnn"))
    assert suited("clockwork_rnn", single, (7,)) == suited("clockwork_rnn", single, 7) == 7
    assert suited("stacked_rnn", stack, (7, 8)) == (7, 8)
    assert suited("stacked_rnn", stack, 7) == (7,)
    with pytest.raises(UsageError, match="has one units, got 2 of them: 7 8"):
        suited("clockwork_rnn", single, (7, 8))


def portions(stream_of, replicas: int, processes: int):
    """Step -> replica -> (inputs, targets, real), as all processes together hand them out."""
    here = replicas // processes
    streams = [iter(stream_of(Portion(replicas, process * here, here))) for process in range(processes)]
    while True:
        yield [next(stream) for stream in streams for _ in range(here)]


@pytest.mark.parametrize(("replicas", "processes"), [(2, 1), (3, 3), (4, 2)])
@pytest.mark.parametrize("augmented", [False, True])
def test_the_parts_of_all_replicas_are_the_batch(replicas, processes, augmented):
    split = ragged_split(50)  # the last batch of 16 has 2
    model = zoo.create_model("sequence_tagger", vocabulary=30, classes=3, units=(2,))

    def augment(inputs, seed):
        ids = inputs["token_ids"]
        return {"token_ids": ids + tf.random.stateless_uniform(tf.shape(ids), seed, 0, 5, ids.dtype)}

    data = Data(split, split, split, "", augment=augment if augmented else None)

    def stream_of(portion):
        return pipelines.training_stream(data, model, batch_size=16, seed=3, first=1, epochs=2, portion=portion)

    for batch, parts in zip(stream_of(None), portions(stream_of, replicas, processes), strict=False):
        real = [part[1].numpy() for part in parts]
        assert all(len(each) for each in real), "no replica is given nothing"
        for whole, shares in zip(batch, zip(*(part[0] for part in parts), strict=True), strict=True):
            kept = [share.numpy()[ones > 0] for share, ones in zip(shares, real, strict=True)]
            np.testing.assert_array_equal(np.concatenate(kept), whole.numpy())


def test_an_epoch_is_taken_up_at_a_step():
    split = ragged_split(100)
    model = zoo.create_model("sequence_tagger", vocabulary=30, classes=3, units=(2,))

    def targets(**options):
        data = Data(split, split, split, "")
        stream = pipelines.training_stream(data, model, batch_size=16, seed=3, first=1, epochs=3, **options)
        return [batch[1].numpy() for batch in stream]

    for one, other in zip(targets(skip=4), targets()[4:], strict=True):
        np.testing.assert_array_equal(one, other)
