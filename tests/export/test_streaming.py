"""Chunk by chunk equals the whole sequence, for any causal model; and the others are refused, the layer named."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
from tests.export.causal_models import CAUSAL, RunningMean, model_of, random_causal
from tests.export.not_causal_models import NOT_CAUSAL, NOT_CAUSAL_EITHER

L = keras.layers


def _with_a_picture(sequence: tuple[int | None, ...], picture: tuple[int | None, ...]) -> keras.Model:
    p, x = keras.Input(picture, name="picture"), keras.Input(sequence, name="x")
    start = L.Dense(4)(L.GlobalAveragePooling2D()(L.Conv2D(3, 3)(p)))
    return keras.Model([p, x], L.GRU(4, return_sequences=True, name="gru")(x, initial_state=start))


def _with_a_label() -> keras.Model:
    ids, label = keras.Input((20,), dtype="int32", name="ids"), keras.Input((1,), dtype="int32", name="label")
    start = L.Flatten()(L.Embedding(5, 4)(label))
    return keras.Model([ids, label], L.GRU(4, return_sequences=True)(L.Embedding(9, 3)(ids), initial_state=start))


def _with_a_table() -> keras.Model:
    table, x = keras.Input((7, 4), name="table"), keras.Input((20, 3), name="x")
    return keras.Model([table, x], L.Attention()([L.GRU(4, return_sequences=True)(x), table]))


def _side_by_side() -> keras.Model:
    x, y = keras.Input((20, 3), name="x"), keras.Input((20, 2), name="y")
    return keras.Model(
        [x, y], L.Concatenate()([L.GRU(4, return_sequences=True)(x), L.LSTM(4, return_sequences=True)(y)])
    )


@pytest.mark.parametrize(
    ("make", "streams"),
    [
        (lambda: _with_a_picture((20, 3), (28, 28, 1)), (False, True)),
        (lambda: _with_a_picture((28, 3), (28, 28, 1)), (False, True)),
        (lambda: _with_a_picture((None, 3), (None, None, 1)), (False, True)),
        (_with_a_label, (True, False)),
        (_with_a_table, (False, True)),
        (_side_by_side, (True, True)),
    ],
    ids=["a picture", "a picture as high as the sequence is long", "open sizes", "a label", "a table", "two sequences"],
)
def test_only_time_axes_are_cut_into_chunks(make: Any, streams: tuple[bool, ...]) -> None:
    """An input that is no sequence is the same at all steps, whatever its shape."""
    assert export.to_streaming(make()).plan.streams == streams


def test_of_a_sequence_beside_a_picture_the_sequence_is_refused() -> None:
    p, x = keras.Input((28, 28, 1), name="picture"), keras.Input((20, 3), name="x")
    start = L.Dense(4)(L.GlobalAveragePooling2D()(p))
    model = keras.Model([p, x], L.GRU(4, return_sequences=True, go_backwards=True, name="back")(x, initial_state=start))
    with pytest.raises(export.NotCausalError, match="layer 'back'"):
        export.to_streaming(model)


def whole_and_chunked(
    model: keras.Model, steps: int, seed: int = 0, batch: int = 2
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each output on the whole sequence, by Keras alone, and from chunks of odd sizes."""
    step = export.to_streaming(model)
    hop, rng = step.plan.hop, np.random.default_rng(seed)
    (port,) = step.plan.traced.signature.inputs
    batch, steps = port.shape[0] or batch, port.shape[1] or steps - steps % hop
    shape = (batch, steps, *port.shape[2:])
    x = (
        rng.integers(1, 9, shape).astype(port.dtype)
        if port.dtype == "int32"
        else rng.normal(size=shape).astype("float32")
    )
    states, parts, at = step.initial_states(batch), [], 0
    graph = tf.function(step, reduce_retracing=True)
    while at < steps:
        size = min(hop * int(rng.choice([1, 1, 2, 7, 160])), steps - at)
        outputs, states = graph(tf.constant(x[:, at : at + size]), states)
        parts.append([np.asarray(y) for y in keras.tree.flatten(outputs)])
        at += size
    wanted = [np.asarray(y) for y in keras.tree.flatten(tf.function(model)(x, training=False))]
    pairs = []
    for index, y in enumerate(wanted):
        if step.plan.rates[index] is None:
            pairs.append((y, parts[-1][index]))
        else:
            got = np.concatenate([part[index] for part in parts], axis=1)[:, step.plan.warmup[index] :]
            assert abs(y.shape[1] - got.shape[1]) * hop <= hop
            pairs.append((y[:, : got.shape[1]], got[:, : y.shape[1]]))
    return pairs


@pytest.mark.parametrize("name", CAUSAL)
def test_chunks_equal_the_whole(name: str) -> None:
    batch = 1 if name == "stateful" else 2  # the batch that the layer's own state has
    for want, got in whole_and_chunked(CAUSAL[name](), steps=96, batch=batch):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["lstm", "dilated convolution", "own front end", "bounded attention"])
def test_nothing_drifts_over_a_thousand_steps(name: str) -> None:
    for want, got in whole_and_chunked(CAUSAL[name](), steps=1000, seed=1, batch=1):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_random_models(seed: int) -> None:
    for want, got in whole_and_chunked(random_causal(seed), steps=96, seed=seed):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_random_models(seed: int) -> None:
    for want, got in whole_and_chunked(random_causal(seed), steps=150, seed=seed):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [*NOT_CAUSAL, *(pytest.param(n, marks=pytest.mark.slow) for n in NOT_CAUSAL_EITHER)])
def test_a_model_that_looks_ahead_is_refused_by_the_layers_name(name: str) -> None:
    build, layer, word = {**NOT_CAUSAL, **NOT_CAUSAL_EITHER}[name]
    model = build()
    with pytest.raises(export.NotCausalError) as caught:
        export.to_streaming(model)
    text = str(caught.value)
    assert layer in text
    assert word in text
    assert "\n" not in text


def test_the_states_have_names_and_their_first_values() -> None:
    step = export.to_streaming(CAUSAL["last state"]())
    names = [spec.name for spec in step.plan.specs]
    assert [name.rsplit("_", 1)[1] for name in names] == ["h", "c", "h"]
    assert set(step.initial_states(3)) == set(names)
    assert {state.shape[0] for state in step.initial_states(3).values()} == {3}
    ones = export.to_streaming(CAUSAL["own cell"]()).initial_states(2)
    assert any(np.all(np.asarray(state) == 1) for state in ones.values())


def test_two_streams_do_not_mix_and_the_start_can_be_had_again() -> None:
    step = export.to_streaming(CAUSAL["dilated convolution"]())
    x = tf.random.stateless_normal((2, 12, 5), (1, 2))
    alone = [step(x[:1], step.initial_states())[0], step(x[1:], step.initial_states())[0]]
    states = [step.initial_states(), step.initial_states()]
    got: list[list[np.ndarray]] = [[], []]
    for t in range(12):
        for row in (0, 1):
            y, states[row] = step((x[row : row + 1, t : t + 1], states[row]))
            got[row].append(np.asarray(y))
    for row in (0, 1):
        np.testing.assert_allclose(np.concatenate(got[row], 1), alone[row], rtol=1e-4, atol=1e-5)


def test_the_step_model_trains_on_with_the_model_and_leaves_it_as_it_was() -> None:
    model = CAUSAL["strides"]()
    x = tf.random.stateless_normal((1, 9, 5), (1, 2))
    before = model(x)
    step = export.to_streaming(model)
    step(x, step.initial_states())
    np.testing.assert_array_equal(model(x), before)
    model.trainable_variables[0].assign_add(tf.ones_like(model.trainable_variables[0]))
    np.testing.assert_allclose(step(x, step.initial_states())[0], model(x), rtol=1e-4, atol=1e-5)


def test_a_step_model_can_be_saved(tmp_path: object) -> None:
    step = export.to_streaming(CAUSAL["lstm"]())
    step.save(f"{tmp_path}/step.keras")
    again = keras.saving.load_model(f"{tmp_path}/step.keras")
    x = tf.ones((1, 2, 5))
    np.testing.assert_allclose(again(x, again.initial_states())[0], step(x, step.initial_states())[0], atol=1e-6)


def test_wrong_chunks_and_states_are_named() -> None:
    step = export.to_streaming(CAUSAL["strides"]())
    with pytest.raises(ValueError, match="chunks of 3 steps or a multiple, not of 4"):
        step(tf.zeros((1, 4, 5)), step.initial_states())
    with pytest.raises(ValueError, match=r"needs the state .*initial_states"):
        step(tf.zeros((1, 3, 5)), {})


def test_a_model_without_a_sequence_is_refused() -> None:
    with pytest.raises(export.ExportError, match=r"no input with a time axis"):
        export.to_streaming(model_of(L.Dense(2), (5,)))


def test_a_layer_with_a_memory_of_its_own_must_be_right() -> None:
    class Forgetful(RunningMean):
        def stream_call(self, x: object, state: object) -> object:
            return self.call(x), state

    with pytest.raises(export.NotCausalError, match="forgetful"):
        export.to_streaming(model_of(lambda x: L.Dense(2)(Forgetful(name="forgetful")(x))))


@keras.saving.register_keras_serializable(package="seqzoo_tests")
class LearnedStart(L.GRU):
    """Learns the state that it begins with."""

    def build(self, shape):
        super().build(shape)
        self.start = self.add_weight(shape=(self.units,), initializer="zeros", name="start")

    def get_initial_state(self, batch_size=None):
        return [keras.ops.tile(self.start[None], [batch_size, 1])]


def test_first_states_that_are_learned_later(tmp_path):
    model = model_of(lambda x: LearnedStart(4, return_sequences=True, name="gru")(x))
    step = export.to_streaming(model)
    x = np.random.default_rng(0).normal(size=(1, 6, *model.input_shape[2:])).astype("float32")
    for value in (0.5, -2.0):
        model.get_layer("gru").start.assign(np.full(4, value))
        step.save(tmp_path / "step.keras")
        loaded = keras.saving.load_model(tmp_path / "step.keras")
        for each in (step, loaded, export.to_streaming(loaded)):
            outputs, _ = each(x, each.initial_states(1))
            np.testing.assert_allclose(keras.tree.flatten(outputs)[0], model(x), atol=1e-6)


def test_a_mask_of_a_fixed_size_runs_beside_its_sequence() -> None:
    frames, valid = keras.Input((12, 4), name="frames"), keras.Input((12,), dtype="bool", name="valid")
    h = L.GRU(3, return_sequences=True)(frames, mask=valid)
    model = keras.Model({"frames": frames, "valid": valid}, L.Dense(2)(L.GRU(3)(h, mask=valid)))
    step = export.to_streaming(model)
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(2, 12, 4)).astype("float32"), rng.random((2, 12)) < 0.7
    states = step.initial_states(2)
    for t in range(12):
        y, states = step({"frames": x[:, t : t + 1], "valid": mask[:, t : t + 1]}, states)
    np.testing.assert_allclose(y, model({"frames": x, "valid": mask}), atol=1e-5)
