"""How much faster a batch of trees is than one tree at a time: `python -m benchmarks.trees`."""

import dataclasses
import functools
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo.recursive import Tree, pack_trees


@dataclasses.dataclass(frozen=True)
class TreeTiming:
    """Processor seconds of one thread for the same trees.

    Attributes:
        together: As one padded batch, in a compiled graph.
        one_by_one: Each in a batch of its own, without padding, in the same graph, traced once: the hardest peer, for
            all of a tree's level is one product there too.
        recursion: Each by a function that calls itself for every child, in eager TensorFlow, as users write it; 0: not
            measured.
    """

    together: float
    one_by_one: float
    recursion: float = 0.0


def measure(
    *, batch: int = 64, units: int = 64, training: bool = False, recursion: bool = True, repeats: int = 5, seed: int = 0
) -> TreeTiming:
    """Times a binary Tree-LSTM on trees of 10 to 40 leaves, split at random as parse trees are.

    Args:
        batch: Number of trees.
        units: Width of a node's states.
        training: Whether to compute the gradients of a loss too.
        recursion: Whether to time the recursion too, which takes seconds.
        repeats: The fastest of so many runs counts.
        seed: Of the trees.

    Returns:
        The timing.
    """
    rng = np.random.default_rng(seed)
    model = zoo.create_model("tree_lstm", vocabulary=1000, classes=5, units=units)
    trees = [_parse(rng, int(size)) for size in rng.integers(10, 41, batch)]
    together, alone = _tensors(pack_trees(trees)), [_tensors(pack_trees([tree])) for tree in trees]
    # One graph for all shapes: it is the running that is timed, not the tracing.
    signature = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs}
    run = tf.function(lambda inputs: _work(model, lambda: model(inputs, training=training), training), [signature])

    def recurse() -> None:
        for tree in trees:
            _work(model, functools.partial(_recursive, model, tree), training)

    return TreeTiming(
        _fastest(lambda: run(together), 3 * repeats),
        _fastest(lambda: [run(inputs) for inputs in alone], repeats),
        _fastest(recurse, 1) if recursion else 0.0,
    )


def _parse(rng: np.random.Generator, leaves: int) -> Tree:
    if leaves == 1:
        return Tree(int(rng.integers(1, 1000)))
    left = int(rng.integers(1, leaves))
    return Tree(children=(_parse(rng, left), _parse(rng, leaves - left)))


def _work(model: keras.Model, forward: Callable[[], tf.Tensor], training: bool) -> object:
    if not training:
        return forward()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(forward()))
    return tape.gradient(loss, [weight.value for weight in model.trainable_variables])


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
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    # One thread, so that processor time is what a run takes on a machine that does nothing else.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for units in (64, 128):
        for training in (False, True):
            timing = measure(units=units, training=training, repeats=3)
            print(
                f"64 parse trees, {units} units, {'training' if training else 'forward'}: together "
                f"{1e3 * timing.together:.0f} ms; one by one in the same graph {1e3 * timing.one_by_one:.0f} ms, "
                f"{timing.one_by_one / timing.together:.1f} times; by eager recursion {1e3 * timing.recursion:.0f} ms, "
                f"{timing.recursion / timing.together:.0f} times",
                flush=True,
            )
