"""Recursive networks: a batch of trees at once equals each tree by recursion, in as many steps as it has levels."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import export
import zoo
from benchmarks.trees import measure
from tests import reference_trees as reference
from tests.zoo.support import build, outputs_of
from tests.zoo.tree_inputs import random_tree
from zoo.layers import TreeLSTMCell
from zoo.recursive import Tree, balanced_tree, from_nested, pack_labels, pack_trees, parse_tree

NAMES = pytest.mark.parametrize("name", ["tree_rnn", "tree_lstm"])
COMPOSITIONS = pytest.mark.parametrize("composition", ["n_ary", "child_sum"])
ORACLES = {"tree_rnn": reference.plain, "tree_lstm": reference.lstm}


def randomised(name: str, fields: dict[str, Any], seed: int = 0) -> keras.Model:
    model, rng = build(name, fields), np.random.default_rng(seed)
    model.set_weights([rng.normal(scale=0.5, size=weight.shape) for weight in model.get_weights()])
    return model


@NAMES
@COMPOSITIONS
@pytest.mark.parametrize("arity", [2, 3])
def test_a_batch_equals_the_recursion_of_each_tree(name: str, composition: str, arity: int) -> None:
    fields = {"classes": 3, "units": 5, "arity": arity, "composition": composition, "return_nodes": True}
    model = randomised(name, {**fields, "features": 4})
    rng = np.random.default_rng(arity)
    trees = [
        random_tree(rng, int(size), arity, lambda rng: rng.normal(size=4), inner=bool(size % 2))
        for size in (1, 2, 3, 8, 15, 30)
    ]
    trees += [balanced_tree(rng.normal(size=(9, 4)))]
    kernel, recurrent, bias, head, head_bias = (np.asarray(weight, np.float64) for weight in model.get_weights())
    compose = ORACLES[name](kernel, recurrent, bias, arity, composition)
    got = outputs_of(model, pack_trees(trees, arity=arity))
    for i, tree in enumerate(trees):
        seen: list[np.ndarray] = []
        h, *_ = reference.recurse(
            tree,
            compose,
            lambda node: np.zeros(4) if node.value is None else node.value,
            lambda node, states, seen=seen: seen.append(states[0]),
        )
        np.testing.assert_allclose(got["logits"][i], h @ head + head_bias, atol=1e-5)
        # The nodes stand level by level; as a set they are those of the recursion.
        nodes = got["node_logits"][i, 1 : 1 + len(seen)]
        wanted = np.stack(seen) @ head + head_bias
        np.testing.assert_allclose(nodes[np.lexsort(nodes.T)], wanted[np.lexsort(wanted.T)], atol=1e-5)


@NAMES
def test_a_tree_does_not_see_its_neighbours_nor_the_padding(name: str) -> None:
    model = randomised(name, {"vocabulary": 20, "classes": 2, "units": 4})
    rng = np.random.default_rng(0)
    trees = [random_tree(rng, size, 2, lambda rng: int(rng.integers(1, 20)), inner=False) for size in (1, 4, 9, 20)]
    together = outputs_of(model, pack_trees(trees, nodes=40, levels=25, width=15))["logits"]
    for tree, row in zip(trees, together, strict=True):
        np.testing.assert_allclose(outputs_of(model, pack_trees([tree]))["logits"][0], row, atol=1e-6)


@NAMES
def test_a_node_that_reads_nothing_reads_zeros(name: str) -> None:
    """Token id 0 is no word: its row of the embedding must not matter."""
    model = randomised(name, {"vocabulary": 5, "classes": 2, "units": 4})
    inputs = pack_trees([from_nested(((1, 2), 3))])
    before = outputs_of(model, inputs)["logits"]
    table, *rest = model.get_weights()
    table[0] += 10
    model.set_weights([table, *rest])
    np.testing.assert_array_equal(outputs_of(model, inputs)["logits"], before)


@NAMES
def test_node_logits_have_the_numbers_of_the_labels(name: str) -> None:
    tree = parse_tree("(3 (2 a) (4 (1 b) (0 c)))")
    model = randomised(name, {"vocabulary": 9, "classes": 5, "units": 4, "return_nodes": True})
    vocabulary = {"a": 2, "b": 3, "c": 4}
    got = outputs_of(model, pack_trees([tree], vocabulary=vocabulary))
    labels = pack_labels([tree])[0]
    assert labels.tolist() == [-1, 2, 1, 0, 4, 3]
    np.testing.assert_allclose(got["node_logits"][0, 5], got["logits"][0], atol=1e-6)
    alone = outputs_of(model, pack_trees([tree.children[1]], vocabulary=vocabulary))
    np.testing.assert_allclose(got["node_logits"][0, 4], alone["logits"][0], atol=1e-6)


@NAMES
def test_a_tree_model_tells_structure_and_order(name: str) -> None:
    model = randomised(name, {"vocabulary": 9, "classes": 2, "units": 4})
    forms = [((1, 2), (3, 4)), (((1, 2), 3), 4), ((2, 1), (3, 4))]
    logits = outputs_of(model, pack_trees([from_nested(form) for form in forms]))["logits"]
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    assert np.abs(logits[0] - logits[2]).max() > 1e-3
    summed = randomised(name, {"vocabulary": 9, "classes": 2, "units": 4, "composition": "child_sum"})
    logits = outputs_of(summed, pack_trees([from_nested(form) for form in forms]))["logits"]
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    np.testing.assert_allclose(logits[0], logits[2], atol=1e-6)


@pytest.mark.parametrize("length", [2, 33])
def test_the_steps_are_as_many_as_the_levels(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One product for each level of the deepest tree, however many trees and nodes there are."""
    model = build("tree_lstm", {"vocabulary": 9, "classes": 2, "units": 3})
    rows: list[int] = []
    compose = TreeLSTMCell.compose

    def counting(self: TreeLSTMCell, z: Any, children: list[Any]) -> Any:
        if children is not None:
            rows.append(int(z.shape[0]))
        return compose(self, z, children)

    monkeypatch.setattr(TreeLSTMCell, "compose", counting)

    def steps(trees: list[Tree]) -> int:
        rows.clear()
        model(pack_trees(trees))
        return len(rows) - 1  # Keras calls a cell once more to learn its output's form

    depth = int(np.ceil(np.log2(length)))
    balanced = balanced_tree([1] * length)
    assert steps([balanced]) == steps([balanced] * 7 + [balanced_tree([2])]) == depth
    chain = Tree(1)
    for _ in range(length - 1):
        chain = Tree(children=(chain, Tree(2)))
    assert steps([chain]) == length - 1


@pytest.mark.slow  # compares times, which a busy machine may turn around
def test_a_batch_is_ten_times_faster_than_one_tree_at_a_time() -> None:
    result = measure(units=64, repeats=10)
    assert result.one_by_one > 10 * result.together, result
    assert result.recursion > 10 * result.together, result


def boolean(rng: np.random.Generator, operators: int) -> tuple[Any, bool]:
    """A formula as nested tuples over the words 0, 1 and, or, nand; and its value."""
    if operators == 0:
        value = bool(rng.integers(2))
        return ("1" if value else "0"), value
    left = int(rng.integers(operators))
    (a, x), (b, y) = boolean(rng, left), boolean(rng, operators - 1 - left)
    name = ("and", "or", "nand")[rng.integers(3)]
    value = {"and": x and y, "or": x or y, "nand": not (x and y)}[name]
    return (name, a, b), value


@pytest.mark.parametrize("name", ["tree_rnn", pytest.param("tree_lstm", marks=pytest.mark.slow)])
def test_it_learns_to_evaluate_formulas_longer_than_it_was_taught(name: str) -> None:
    rng = np.random.default_rng(0)
    vocabulary = {"0": 1, "1": 2, "and": 3, "or": 4, "nand": 5}

    def tree(form: Any) -> Tree:
        return Tree(form[0], (tree(form[1]), tree(form[2]))) if isinstance(form, tuple) else Tree(form)

    def formulas(count: int, low: int, high: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        drawn = [boolean(rng, int(rng.integers(low, high))) for _ in range(count)]
        return pack_trees([tree(form) for form, _ in drawn], vocabulary=vocabulary), np.array(
            [v for _, v in drawn], int
        )

    model = build(name, {"vocabulary": 6, "classes": 2, "units": 24, "embedding": 8})
    model.compile(
        keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    losses = model.fit(*formulas(600, 0, 4), epochs=14, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    assert model.evaluate(*formulas(200, 4, 10), verbose=0)[1] > 0.85


def test_the_forget_gates_start_open() -> None:
    cell = build("tree_lstm", {"features": 4, "classes": 2, "units": 3}).get_layer("tree").cell
    np.testing.assert_array_equal(cell.bias, [0] * 9 + [1] * 3)


def test_impossible_trees_are_refused() -> None:
    with pytest.raises(ValueError, match="composition must be"):
        TreeLSTMCell(3, composition="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exactly one of features"):
        zoo.create_model("tree_rnn", classes=2)


def test_asking_for_xla_warns_and_trains() -> None:
    model, rng = randomised("tree_lstm", {"features": 4, "classes": 3, "units": 5}), np.random.default_rng(0)
    packed = pack_trees([random_tree(rng, size, 2, lambda rng: rng.normal(size=4)) for size in (3, 7)], arity=2)
    inputs = {tensor.name: packed[tensor.name] for tensor in model.inputs}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        model.compile("sgd", loss, jit_compile=True)
    assert np.isfinite(model.fit(inputs, np.zeros(2, "int32"), verbose=0).history["loss"]).all()


def test_half_precision_keeps_the_numbers_of_the_nodes() -> None:
    """Half precision holds whole numbers up to 2048 only; a node's number must not be rounded."""
    tree = balanced_tree([1, *[2] * 1100, 3])
    before = keras.config.dtype_policy()
    full = randomised("tree_rnn", {"vocabulary": 4, "classes": 2, "units": 3})
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = build("tree_rnn", {"vocabulary": 4, "classes": 2, "units": 3})
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(full.get_weights())
    inputs = pack_trees([tree])
    np.testing.assert_allclose(outputs_of(half, inputs)["logits"], outputs_of(full, inputs)["logits"], atol=2e-2)


def test_an_exported_file_reads_real_trees(tmp_path: Path) -> None:
    """The verifier's random numbers are no trees; these are."""
    model = randomised("tree_lstm", {"vocabulary": 9, "classes": 2, "units": 3})
    artifact = export.export_model(model, tmp_path / "tree.tflite", verify=False)
    inputs = pack_trees([balanced_tree([1, 2, 3, 4, 5]), from_nested((((6, 7), 8), 1))])
    got = export.load_runtime(artifact.path)(inputs)
    np.testing.assert_allclose(got["logits"], outputs_of(model, inputs)["logits"], atol=1e-5)
