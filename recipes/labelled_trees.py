"""Trees with a label at every node, in batches: what the recursive recipes share."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from recipes.data import Batch, Ragged, Split
from recipes.vocabulary import Vocabulary
from zoo.trees import Tree, pack_labels, pack_trees


@dataclasses.dataclass(frozen=True)
class TreeSplit(Split):
    """A part of such data, as the models of `zoo.recursive` read it; targets are the labels of all nodes.

    In `zoo.trees`'s numbering node 0 is nobody, the leaves follow from left to right, and the root is the last one.

    Attributes:
        words: The leaves of each tree, from left to right.
        levels: How many nodes of each tree stand at each level, the leaves first.
        width: What every level of every batch is padded to.
    """

    words: tuple[Sequence[str], ...]
    levels: Ragged
    width: int

    @classmethod
    def of(cls, trees: Sequence[Tree], vocabulary: Vocabulary) -> "TreeSplit":
        """Packs trees.

        Args:
            trees: With words at their leaves, and a label at every node.
            vocabulary: Of the words.

        Returns:
            `token_ids` and `children`, and the labels; `width` is that of these trees.
        """
        leaves = [[node.value for node in tree.walk() if not node.children] for tree in trees]
        known = dict(zip(vocabulary.tokens, range(len(vocabulary)), strict=True))
        packed = [pack_trees([tree], vocabulary=known) for tree in trees]
        wide = [(one["schedule"][0] > 0).sum(axis=-1) for one in packed]
        levels = [[len(words), *sizes] for words, sizes in zip(leaves, wide, strict=True)]
        inputs = {
            name: Ragged.of((one[name][0] for one in packed), dtype="int32") for name in ("token_ids", "children")
        }
        labels = Ragged.of((pack_labels([tree], missing=0)[0] for tree in trees), dtype="int32")
        width = max(int(sizes.max(initial=1)) for sizes in wide)
        return cls(inputs, labels, tuple(map(tuple, leaves)), Ragged.of(levels, dtype="int32"), width)

    @property
    def roots(self) -> np.ndarray:
        """The label of each tree's root."""
        return self.targets.values[self.targets.starts + self.targets.lengths - 1]

    def batch(self, rows: np.ndarray) -> Batch:
        """Puts trees side by side.

        Args:
            rows: Their indices.

        Returns:
            Inputs, `schedule` among them, labels, and weights: 1 for a node, 0 for nobody.
        """
        inputs, labels, _ = super().batch(rows)
        weights = self.targets.mask(rows)
        weights[:, 0] = 0
        sizes = self.levels.padded(rows)
        # (batch, levels, 1): the number of the first node of each level above the leaves
        first = 1 + np.cumsum(sizes, axis=1)[:, :-1, None]
        slots = np.arange(self.width)
        schedule = np.where(slots < sizes[:, 1:, None], first + slots, 0).astype("int32")
        return {**inputs, "schedule": schedule}, labels, weights

    def sizes(self, row: int) -> np.ndarray:
        """Counts the words below each node of a tree, those that read one included; node 0 has none."""
        children = self.inputs["children"][row]
        below = np.zeros(len(children), int)
        for number in range(1, len(children)):
            below[number] = 1 if number <= len(self.words[row]) else below[children[number]].sum()
        return below


def tree_of(example: Mapping[str, Any]) -> Tree:
    """Builds a tree from an example of `recipes.datasets`' treebank, its words in lower case."""
    words, nodes = iter(example["tokens"]), []
    for label, below in zip(example["node_labels"], example["children"], strict=True):
        children = tuple(nodes[child] for child in below if child >= 0)
        nodes.append(Tree(None if children else next(words).lower(), children, int(label)))
    return nodes[-1]


@keras.saving.register_keras_serializable(package="seqzoo")
class RootAccuracy(keras.metrics.Mean):
    """Share of the trees whose root is named rightly, where each node is named."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts a batch.

        Args:
            y_true: Labels (batch, nodes).
            y_pred: Logits (batch, nodes, classes).
            sample_weight: (batch, nodes), 0 at node 0 and behind the root.
        """
        root = ops.sum(ops.cast(sample_weight > 0, "int32"), axis=1)
        right = ops.cast(
            ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), ops.cast(y_true, "int32")), "float32"
        )
        place = ops.cumsum(ops.ones_like(right), axis=1) - 1
        at_root = ops.equal(place, ops.cast(ops.expand_dims(root, 1), "float32"))
        # A row without any node stands in where there are fewer trees than replicas.
        super().update_state(
            ops.sum(ops.where(at_root, right, 0.0), axis=1), sample_weight=ops.cast(root > 0, "float32")
        )
