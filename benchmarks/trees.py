"""How much faster a batch of trees is than one tree at a time: `python -m benchmarks.trees`."""

import dataclasses
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo.recursive import Tree, balanced_tree, pack_trees


@dataclasses.dataclass(frozen=True)
class TreeTiming:
    """Seconds for the same trees, by the same means both times.

    Attributes:
        together: As one padded batch.
        one_by_one: Each in a batch of its own, without padding: the hardest peer, for all of a tree's level is one
            product there too.
        recursion: Each by a function that calls itself for every child, in eager TensorFlow, as users write it; None:
            not measured.
    """

    together: float
    one_by_one: float
    recursion: float | None = None

    @property
    def ratio(self) -> float:
        """How many times faster the batch is."""
        return self.one_by_one / self.together


def measure(
    *, batch: int = 64, leaves: int = 32, units: int = 64, bare: bool = False, repeats: int = 3, seed: int = 0
) -> TreeTiming:
    """Times a Tree-LSTM on trees of different shapes.

    Args:
        batch: Number of trees.
        leaves: The most leaves; each tree has between half of it and all of it.
        units: Width of a node's states.
        bare: Whether to time the compiled graph alone, in place of `model.predict_on_batch`.
        recursion: Whether to time the recursion too, which takes seconds.
        repeats: The fastest of so many runs counts.
        seed: Of the trees.

    Returns:
        The timing.
    """
    rng = np.random.default_rng(seed)
    model = zoo.create_model("tree_lstm", vocabulary=1000, classes=5, units=units)
    sizes = rng.integers(leaves // 2, leaves + 1, batch)
    trees = [balanced_tree(rng.integers(1, 1000, size).tolist()) for size in sizes]
    together, alone = pack_trees(trees), [pack_trees([tree]) for tree in trees]
    run = model.predict_on_batch
    if bare:
        # One graph for all shapes: it is the running that is timed, not the tracing.
        signature = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs}
        run = tf.function(lambda inputs: model(inputs, training=False), input_signature=[signature])
        together, alone = _tensors(together), [_tensors(inputs) for inputs in alone]
    return TreeTiming(
        _fastest(lambda: run(together), repeats),
        _fastest(lambda: [run(inputs) for inputs in alone], repeats),
        _fastest(lambda: [_recursive(model, tree) for tree in trees], 1) if recursion else None,
    )


def _recursive(model: keras.Model, tree: Tree) -> tf.Tensor:
    """A tree's logits, node by node."""
    cell = model.get_layer("tree").cell

    def state(node: Tree) -> tf.Tensor:
        x = model.get_layer("embedding")(tf.constant([node.value or 0])) * (node.value is not None)
        below = [state(child) for child in node.children]
        return cell.compose(cell.project(x), tf.stack(below, axis=1) if below else None)

    return model.get_layer("logits")(state(tree)[:, : cell.units])


def _tensors(inputs: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in inputs.items()}


def _fastest(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    for bare in (False, True):
        print("the compiled graph alone:" if bare else "model.predict_on_batch:")
        for leaves in (16, 32, 64):
            for units in (32, 64, 128):
                timing = measure(leaves=leaves, units=units, bare=bare, recursion=not bare)
                recursion = "" if timing.recursion is None else f"; by recursion {1e3 * timing.recursion:.0f} ms"
                print(
                    f"64 trees of up to {leaves} leaves, {units} units: together {1e3 * timing.together:.1f} ms, "
                    f"one by one {1e3 * timing.one_by_one:.1f} ms, {timing.ratio:.0f} times{recursion}"
                )
