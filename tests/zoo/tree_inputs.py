"""Random trees, and the inputs that a registered tree model takes of them."""

from typing import Any

import numpy as np

from zoo.trees import Tree, pack_trees


def random_tree(rng: np.random.Generator, nodes: int, arity: int, value: Any, inner: bool = True) -> Tree:
    """A tree with so many nodes, each of any number of children; inner nodes read something too if they may."""
    if nodes <= 1:
        return Tree(value(rng))
    parts = rng.multinomial(nodes - 1 - (count := int(rng.integers(1, min(arity, nodes - 1) + 1))), [1 / count] * count)
    children = tuple(random_tree(rng, 1 + int(part), arity, value, inner) for part in parts)
    return Tree(value(rng) if inner else None, children)


def random_tree_inputs(config: dict[str, Any], batch: int, nodes: int, rng: np.random.Generator) -> dict[str, Any]:
    """Trees of up to `nodes - 1` nodes, padded to exactly `nodes`, and as many levels."""

    def value(rng: np.random.Generator) -> Any:
        if config["vocabulary"]:
            return int(rng.integers(1, config["vocabulary"]))
        return rng.normal(size=config["features"])

    sizes = [nodes - 1 - i % 2 for i in range(batch)]
    trees = [random_tree(rng, size, config["arity"], value) for size in sizes]
    packed = pack_trees(trees, arity=config["arity"], nodes=nodes, levels=nodes)
    return {key: array[:, :nodes] if key != "schedule" else array for key, array in packed.items()}
