"""Networks with an explicit memory: the equations, where they look, and tasks that need to look."""

from typing import Any

import keras
import numpy as np
import pytest

import zoo
from tests import reference_memory as reference
from tests.zoo.support import build, outputs_of
from zoo.layers import MemoryHops, NTMCell
from zoo.layers.ntm_addressing import address

RNG = np.random.default_rng(0)
STORY = {"vocabulary": 9, "classes": 4, "embedding": 6, "return_weights": True}
MACHINE = {"features": 3, "classes": 4, "units": 7, "slots": 8, "width": 5, "return_weights": True}


def randomised(name: str, fields: dict[str, Any], scale: float = 0.5) -> keras.Model:
    model, rng = build(name, fields), np.random.default_rng(1)
    model.set_weights([rng.normal(scale=scale, size=weight.shape) for weight in model.get_weights()])
    return model


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    return {weight.name: np.asarray(weight, np.float64) for weight in layer.weights}


def padded_story(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sentences of different lengths; missing ones at the end, in the middle, everywhere."""
    story = rng.integers(1, 9, (5, 6, 4)) * (np.arange(4) < rng.integers(1, 5, (5, 6, 1)))
    story[1, 3:] = 0
    story[2, [1, 4]] = 0
    story[3] = 0
    question = rng.integers(1, 9, (5, 3))
    question[1, 1:] = 0
    return story.astype("int32"), question.astype("int32")


@pytest.mark.parametrize("tying", ["adjacent", "layer_wise"])
@pytest.mark.parametrize("position", [True, False])
@pytest.mark.parametrize(("hops", "memory_size"), [(1, 50), (3, 3)])
def test_hops_equal_the_equations(tying: str, position: bool, hops: int, memory_size: int) -> None:
    fields = {"hops": hops, "memory_size": memory_size, "position_encoding": position, "tying": tying}
    model = randomised("memory_network", {**STORY, **fields})
    story, question = padded_story(RNG)
    got = outputs_of(model, {"story": story, "question": question})
    tables = weights_of(model.get_layer("memory"))
    kernel, bias = model.get_layer("logits").get_weights()
    for row in range(len(story)):
        u, p = reference.memory_network(story[row], question[row], tables, hops, memory_size, position, tying)
        np.testing.assert_allclose(got["attention"][row], p, atol=1e-5)
        np.testing.assert_allclose(got["logits"][row], u @ kernel + bias, atol=1e-5)
    assert not got["attention"][3].any()


def lookup_stories(count: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """As bAbI's first task: people go to places, and the question is where one of them is now."""
    rng = np.random.default_rng(seed)
    people, places, went, where = np.arange(1, 5), np.arange(5, 9), 9, 10
    story, question, answers = np.zeros((count, 6, 3), "int32"), np.zeros((count, 2), "int32"), np.zeros(count, int)
    for i in range(count):
        length = int(rng.integers(2, 7))
        who, to = rng.choice(people, length), rng.choice(places, length)
        story[i, :length] = np.stack([who, np.full(length, went), to], axis=1)
        asked = rng.choice(who)
        question[i] = where, asked
        answers[i] = to[np.flatnonzero(who == asked)[-1]] - 5
    return {"story": story, "question": question}, answers


def test_it_learns_where_everybody_is_and_looks_there() -> None:
    model = build(
        "memory_network", {"vocabulary": 11, "classes": 4, "embedding": 16, "hops": 2, "return_weights": True}
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), {"logits": loss})
    x, y = lookup_stories(1500, 0)
    losses = model.fit(x, {"logits": y}, epochs=15, batch_size=50, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    x, y = lookup_stories(200, 1)
    got = outputs_of(model, x)
    assert (got["logits"].argmax(-1) == y).mean() > 0.9
    # Some hop looks at the sentence with the answer.
    last = [np.flatnonzero(row[:, 0] == asked)[-1] for row, asked in zip(x["story"], x["question"][:, 1], strict=True)]
    assert got["attention"].max(-1)[np.arange(200), last].mean() > 0.8


@pytest.mark.parametrize("tying", ["adjacent", "layer_wise"])
def test_each_hop_shares_its_weight_out_among_the_sentences_that_are_there(tying: str) -> None:
    fields = {**STORY, "hops": 4, "memory_size": 3, "tying": tying}
    story, question = padded_story(np.random.default_rng(4))
    weights = outputs_of(randomised("memory_network", fields, scale=2.0), {"story": story, "question": question})
    attention = weights["attention"]
    there = story.any(axis=-1)
    # Of more than three sentences, the last three.
    remembered = there & (there.sum(-1, keepdims=True) - there.cumsum(-1) < 3)
    assert remembered.sum(-1).tolist() == [3, 3, 3, 0, 3]
    np.testing.assert_allclose(attention.sum(axis=1), np.repeat(there.any(-1)[:, None], 4, axis=1), atol=1e-5)
    assert (attention >= 0).all()
    assert not attention[~remembered].any()


def test_weights_come_on_request_only() -> None:
    for name, fields, extra in (
        ("memory_network", STORY, {"attention"}),
        ("neural_turing_machine", MACHINE, {"read_weights", "write_weights"}),
        ("attention_memory", {"features": 3, "classes": 2, "return_weights": True}, {"attention"}),
    ):
        assert set(build(name, fields).output_names) == {"logits", *extra}
        assert build(name, {**fields, "return_weights": False}).output_names == ["logits"]


@pytest.mark.parametrize("controller", ["lstm", "feed_forward"])
@pytest.mark.parametrize(("readers", "writers", "shift"), [(1, 1, 1), (2, 3, 2), (1, 1, 0)])
def test_the_turing_machine_equals_the_equations(controller: str, readers: int, writers: int, shift: int) -> None:
    heads = {"read_heads": readers, "write_heads": writers, "shift": shift}
    model = randomised("neural_turing_machine", {**MACHINE, **heads, "controller": controller})
    x = RNG.normal(size=(3, 9, 3)).astype("float32")
    got = outputs_of(model, {"features": x})
    *core, kernel, bias = (np.asarray(weight, np.float64) for weight in model.get_layer("machine").get_weights())
    head, head_bias = model.get_layer("logits").get_weights()
    for row in range(3):
        outputs, looked = reference.turing_machine(x[row], core, [kernel, bias], 8, 5, readers, writers, shift)
        np.testing.assert_allclose(got["read_weights"][row], looked[:, :readers], atol=1e-4)
        np.testing.assert_allclose(got["write_weights"][row], looked[:, readers:], atol=1e-4)
        np.testing.assert_allclose(got["logits"][row], outputs @ head + head_bias, atol=1e-4)


def located(**change: Any) -> np.ndarray:
    """Where a head looks, of five slots of which slot 3 holds the key; it looked at slot 1 before."""
    key = np.array([1.0, -1.0, 0.5], "float32")
    memory = np.zeros((1, 5, 3), "float32")
    memory[0, 3], memory[0, 0] = 2 * key, [1.0, 1.0, 0.0]
    given = {"beta": 30.0, "g": 1.0, "s": [0.0, 1.0, 0.0], "gamma": 1.0, **change}
    shaped = {name: np.reshape(value, (1, 1, -1)).astype("float32") for name, value in given.items()}
    before = np.eye(5, dtype="float32")[None, None, 1]
    return np.asarray(address(memory, before, key[None, None], **shaped))[0, 0]


def test_heads_find_their_place_by_content_and_by_location() -> None:
    np.testing.assert_allclose(located(), np.eye(5)[3], atol=1e-4)
    np.testing.assert_allclose(located(beta=0.0), np.full(5, 0.2), atol=1e-5)
    np.testing.assert_allclose(located(g=0.0), np.eye(5)[1], atol=1e-4)
    np.testing.assert_allclose(located(g=0.0, s=[0, 0, 1]), np.eye(5)[2], atol=1e-4)
    np.testing.assert_allclose(located(g=0.0, s=[1, 0, 0]), np.eye(5)[0], atol=1e-4)
    np.testing.assert_allclose(located(g=0.0, s=[1, 0, 0, 0, 0]), np.eye(5)[4], atol=1e-4)  # around the ring
    np.testing.assert_allclose(located(g=0.0, s=[0, 0.5, 0.5]), [0, 0.5, 0.5, 0, 0], atol=1e-4)
    np.testing.assert_allclose(located(g=0.0, s=[0, 0.6, 0.4], gamma=3.0)[1], 0.6**3 / (0.6**3 + 0.4**3), atol=1e-4)


def test_addressing_survives_extremes() -> None:
    for change in ({"gamma": 1e4}, {"beta": 1e6}, {"gamma": 1e4, "beta": 1e6}, {"g": 0.0, "gamma": 1e4}):
        weights = located(**change)
        assert np.isfinite(weights).all()
        np.testing.assert_allclose(weights.sum(), 1.0, atol=1e-5)


def copy_task(count: int, length: int, bits: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Bits, an end mark, and as many silent steps in which the bits must come back: -> (x, y, weight of each step)."""
    pattern = rng.integers(0, 2, (count, length, bits)).astype("float32")
    x = np.zeros((count, 2 * length + 1, bits + 1), "float32")
    x[:, :length, :bits], x[:, length, bits] = pattern, 1.0
    y = np.zeros((count, 2 * length + 1, bits), "float32")
    y[:, length + 1 :] = pattern
    weight = np.zeros((count, 2 * length + 1), "float32")
    weight[:, length + 1 :] = 1.0
    return x, y, weight


def train_copying(controller: str, steps: int, longest: int = 4, seed: int = 0) -> tuple[keras.Model, list[float]]:
    rng = np.random.default_rng(seed)
    fields = {"features": 5, "classes": 4, "units": 40, "slots": 12, "width": 8, "return_weights": True}
    model = build("neural_turing_machine", {**fields, "controller": controller}, seed=seed)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01, clipnorm=10.0), {"logits": loss})
    losses = []
    for _ in range(steps):
        x, y, weight = copy_task(16, int(rng.integers(1, longest + 1)), 4, rng)
        losses.append(float(model.train_on_batch(x, {"logits": y}, sample_weight={"logits": weight})))
    return model, losses


@pytest.mark.parametrize("controller", [pytest.param("lstm", marks=pytest.mark.slow), "feed_forward"])
def test_the_turing_machine_learns(controller: str) -> None:
    model, losses = train_copying(controller, 100, longest=2)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20]), losses


@pytest.mark.slow
@pytest.mark.parametrize("controller", ["lstm", "feed_forward"])
def test_two_thousand_steps_bring_no_nan_and_a_copying_machine(controller: str) -> None:
    model, losses = train_copying(controller, 2000)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    x, y, weight = copy_task(50, 4, 4, np.random.default_rng(9))
    got = outputs_of(model, {"features": x})
    right = (got["logits"] > 0) == (y > 0.5)
    assert right[weight > 0].mean() > 0.95
    for key in ("read_weights", "write_weights"):
        np.testing.assert_allclose(got[key].sum(-1), 1.0, atol=1e-4)


def test_without_clipping_a_large_step_brings_no_nan() -> None:
    model = build("neural_turing_machine", {**MACHINE, "return_weights": False})
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x, y = 10 * RNG.normal(size=(4, 6, 3)), RNG.normal(size=(4, 6, 4))
    for _ in range(30):
        assert np.isfinite(float(model.train_on_batch(x, y)))


def test_attention_memory_equals_the_equations() -> None:
    model = randomised(
        "attention_memory", {"features": 3, "classes": 4, "units": 5, "slots": 3, "return_weights": True}
    )
    x = RNG.normal(size=(2, 7, 3)).astype("float32")
    got = outputs_of(model, {"features": x})
    weights = weights_of(model.get_layer("memory"))
    lstm = [weights[name] for name in ("kernel", "recurrent_kernel", "bias")]
    attention = [weights[name] for name in ("memory_kernel", "state_kernel", "query")]
    head, bias = model.get_layer("logits").get_weights()
    for row in range(2):
        outputs, looked = reference.attention_memory(x[row], lstm, attention, 3)
        np.testing.assert_allclose(got["attention"][row], looked, atol=1e-5)
        np.testing.assert_allclose(got["logits"][row], outputs @ head + bias, atol=1e-5)


def test_attention_memory_recalls_by_content() -> None:
    """Pairs of a key and a value pass by; then a key comes alone, and its value is asked for."""

    def pairs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        keys = np.argsort(rng.random((count, 4)), axis=1)[:, :3]
        values, asked = rng.integers(0, 3, (count, 3)), rng.integers(0, 3, count)
        x = np.zeros((count, 4, 7), "float32")
        x[:, :3] = np.concatenate([np.eye(4)[keys], np.eye(3)[values]], axis=-1)
        rows = np.arange(count)
        x[:, 3, :4] = np.eye(4)[keys[rows, asked]]
        return x, values[rows, asked]

    model = build("attention_memory", {"features": 7, "classes": 3, "units": 24, "slots": 4})
    final = keras.Model(model.inputs[0], model.output[:, -1])
    final.compile(
        keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    losses = final.fit(*pairs(1000, 0), epochs=20, batch_size=100, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert final.evaluate(*pairs(300, 1), verbose=0)[1] > 0.8


def test_impossible_memories_are_refused() -> None:
    with pytest.raises(ValueError, match="shift must be at most 1 for 4 slots, got 2"):
        zoo.create_model("neural_turing_machine", features=1, classes=1, slots=4, shift=2)
    with pytest.raises(ValueError, match="controller must be"):
        NTMCell(3, controller="gru")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tying must be"):
        MemoryHops(5, 4, tying="none")  # type: ignore[arg-type]
    assert NTMCell(3, dtype="mixed_float16").compute_dtype == "float32"
