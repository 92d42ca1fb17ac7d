"""Trees as arrays: parse trees, nested tuples and balanced trees become the padded inputs of the recursive models.

Numbering: node 0 stands for nobody. A tree's leaves come first, then its other nodes level by level, the deepest first
and the root last: each node comes after its children, which are leaves or stand at the level below.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# ASCII white space only: a treebank's words may hold a no-break space.
_TOKEN = re.compile(r"[()]|[^\s()]+", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]+")


@dataclasses.dataclass(frozen=True)
class Tree:
    """A node and everything below it.

    Attributes:
        value: What the node reads: a word, a token id or a feature vector. None: nothing.
        children: The nodes below, from left to right.
        label: What is known of the node, such as its sentiment.
    """

    value: Any = None
    children: tuple["Tree", ...] = ()
    label: Any = None

    def walk(self) -> Iterator["Tree"]:
        """Gives every node, each after its children, from left to right."""
        # No recursion: a chain of a thousand nodes is a tree too.
        waiting = [(self, False)]
        while waiting:
            node, ready = waiting.pop()
            if ready or not node.children:
                yield node
            else:
                waiting.append((node, True))
                waiting.extend((child, False) for child in reversed(node.children))

    @property
    def depth(self) -> int:
        """Levels above the leaves: the number of steps that depend on each other."""
        return max(_flatten(self).levels)


@dataclasses.dataclass(frozen=True)
class _Flat:
    """A tree's nodes in the order of their numbers, which start at 1."""

    values: list[Any]
    labels: list[Any]
    levels: list[int]
    children: list[list[int]]


def _flatten(tree: Tree) -> _Flat:
    # By place, not by identity: one Tree object may stand at several places of a tree.
    found: list[Tree] = []
    below: list[list[int]] = []
    waiting: list[int] = []
    for node in tree.walk():
        first = len(waiting) - len(node.children)
        places, waiting[first:] = waiting[first:], [len(found)]
        found.append(node)
        below.append(places)
    depths = [0] * len(found)  # below the root, which was found last
    for place in reversed(range(len(found))):
        for child in below[place]:
            depths[child] = depths[place] + 1
    deepest = max(depths)
    levels = [deepest - depth if places else 0 for depth, places in zip(depths, below, strict=True)]
    order = sorted(range(len(found)), key=levels.__getitem__)
    number = {place: i for i, place in enumerate(order, start=1)}
    return _Flat(
        values=[found[place].value for place in order],
        labels=[found[place].label for place in order],
        levels=[levels[place] for place in order],
        children=[[number[child] for child in below[place]] for place in order],
    )


def from_nested(nested: Any) -> Tree:
    """Reads a tree written as nested tuples, such as `(("not", "very"), "good")`.

    Args:
        nested: A tuple holds subtrees; anything else is a leaf's value.

    Returns:
        The tree.

    Raises:
        ValueError: An empty tuple.
    """
    if not isinstance(nested, tuple):
        return Tree(nested)
    if not nested:
        raise ValueError("a tuple in a tree holds at least one subtree, got ()")
    return Tree(children=tuple(from_nested(part) for part in nested))


def balanced_tree(values: Sequence[Any]) -> Tree:
    """Builds a binary tree over a sequence, of depth ceil(log2(length)).

    Args:
        values: The leaves from left to right: words, token ids, or feature vectors.

    Returns:
        The tree. The left half is the longer one where the halves differ.

    Raises:
        ValueError: No values.
    """
    if len(values) == 0:
        raise ValueError("a tree has at least one leaf, got an empty sequence")
    if len(values) == 1:
        return Tree(values[0])
    middle = (len(values) + 1) // 2
    return Tree(children=(balanced_tree(values[:middle]), balanced_tree(values[middle:])))


def parse_tree(text: str) -> Tree:
    """Reads a parenthesised tree, as treebanks write it: `(3 (2 It) (4 (2 's) (3 good)))`.

    Args:
        text: `(label word)` is a leaf, `(label subtree ...)` an inner node. Labels that are whole numbers become int.
            Words beside subtrees, or several words after one label, are leaves without a label.

    Returns:
        The tree.

    Raises:
        ValueError: Parentheses that don't match, a missing label, one with nothing below it, or text after the end.
    """
    tokens = _TOKEN.findall(text)
    open_nodes: list[list[Any]] = [[]]
    for position, token in enumerate(tokens):
        if token == "(":
            open_nodes.append([])
        elif token != ")":
            open_nodes[-1].append(token)
        elif len(open_nodes) == 1:
            raise ValueError(f"')' without '(' at token {position + 1} of {text!r}")
        else:
            parts = open_nodes.pop()
            open_nodes[-1].append(_node(parts, text))
    if len(open_nodes) > 1:
        raise ValueError(f"{len(open_nodes) - 1} '(' without ')' in {text!r}")
    (parts,) = open_nodes
    if len(parts) != 1 or isinstance(parts[0], str):
        raise ValueError(f"text must hold exactly one tree in parentheses, got {text!r}")
    tree: Tree = parts[0]
    return tree


def _node(parts: list[Any], text: str) -> Tree:
    if not parts or not isinstance(parts[0], str):
        raise ValueError(f"'(' must be followed by a label in {text!r}")
    label, *below = parts
    if not below:
        raise ValueError(f"label {label!r} has nothing below it in {text!r}")
    label = int(label) if _WHOLE.fullmatch(label) else label
    if len(below) == 1 and isinstance(below[0], str):
        return Tree(below[0], label=label)
    return Tree(children=tuple(Tree(part) if isinstance(part, str) else part for part in below), label=label)


def pack_trees(
    trees: Sequence[Tree],
    *,
    arity: int = 2,
    vocabulary: Mapping[str, int] | None = None,
    unknown: int = 1,
    nodes: int = 0,
    levels: int = 0,
    width: int = 0,
) -> dict[str, Array]:
    """Packs trees of any shapes into the inputs of `tree_rnn` and `tree_lstm`.

    Args:
        trees: The trees. Values are token ids (positive integers), words, or feature vectors of one size.
        arity: The most children of a node, as the model has it.
        vocabulary: Word -> token id, for trees of words.
        unknown: The id of a word that the vocabulary lacks.
        nodes: Pad to at least so many nodes, node 0 included; so that batches have the same shapes.
        levels: Pad to at least so many levels.
        width: Pad to at least so many nodes a level.

    Returns:
        `token_ids` (batch, nodes) int32, or `features` (batch, nodes, features) float32: what each node reads, 0 for
        nothing. `children` (batch, nodes, arity) int32: the numbers of its children, 0 for none. `schedule`
        (batch, levels, width) int32: the nodes to compute at each step after the leaves, 0 for none.

    Raises:
        ValueError: No trees, more children than arity, values of different kinds, or words without a vocabulary.
    """
    if not trees:
        raise ValueError("trees must hold at least one tree, got none")
    flat = [_flatten(tree) for tree in trees]
    sizes = [np.bincount(tree.levels) for tree in flat]
    count = max(nodes, 1 + max(len(tree.levels) for tree in flat))
    depth = max(levels, 1, max(len(size) - 1 for size in sizes))
    widest = max(width, 1, max(int(size[1:].max(initial=0)) for size in sizes))
    children = np.zeros((len(trees), count, arity), np.int32)
    schedule = np.zeros((len(trees), depth, widest), np.int32)
    for i, (tree, size) in enumerate(zip(flat, sizes, strict=True)):
        for number, below in enumerate(tree.children, start=1):
            if len(below) > arity:
                raise ValueError(f"tree {i} has a node with {len(below)} children; arity is {arity}")
            children[i, number, : len(below)] = below
        first = 1 + size[0]
        for level, in_level in enumerate(size[1:]):
            schedule[i, level, :in_level] = np.arange(first, first + in_level)
            first += in_level
    values = _pack_values([tree.values for tree in flat], count, vocabulary, unknown)
    return {**values, "children": children, "schedule": schedule}


def _pack_values(
    rows: list[list[Any]], count: int, vocabulary: Mapping[str, int] | None, unknown: int
) -> dict[str, Array]:
    given = [value for row in rows for value in row if value is not None]
    if not given:
        raise ValueError("trees must have values, at their leaves at least; got none")
    if all(isinstance(value, str) for value in given):
        if vocabulary is None:
            raise ValueError(f"trees of words such as {given[0]!r} need vocabulary=, a mapping of words to token ids")
        rows = [[value and vocabulary.get(value, unknown) for value in row] for row in rows]
        return {"token_ids": _fill(rows, (count,), np.int32)}
    shapes = {np.shape(value) for value in given if not isinstance(value, str)}
    if len(shapes) > 1 or any(isinstance(value, str) for value in given):
        raise ValueError("values must all be token ids, or all words, or all feature vectors of one size")
    (shape,) = shapes
    return {"features": _fill(rows, (count, *shape), np.float32)} if shape else {"token_ids": _ids(rows, count)}


def _ids(rows: list[list[Any]], count: int) -> Array:
    for value in (value for row in rows for value in row if value is not None):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"token ids must be integers from 1 up, 0 is nothing; got {value!r}")
    return _fill(rows, (count,), np.int32)


def _fill(rows: list[list[Any]], shape: tuple[int, ...], dtype: Any) -> Array:
    packed = np.zeros((len(rows), *shape), dtype)
    for i, row in enumerate(rows):
        for number, value in enumerate(row, start=1):
            if value is not None:
                packed[i, number] = value
    return packed


def pack_labels(trees: Sequence[Tree], *, nodes: int = 0, missing: int = -1) -> Array:
    """Packs the labels of all nodes, in the numbering of `pack_trees`.

    Args:
        trees: The trees.
        nodes: Pad to at least so many nodes, node 0 included.
        missing: What stands where a node has no label, and for padding.

    Returns:
        (batch, nodes) int32; a tree's root has its highest number.
    """
    labels = [_flatten(tree).labels for tree in trees]
    packed = np.full((len(trees), max(nodes, 1 + max(map(len, labels)))), missing, np.int32)
    for i, row in enumerate(labels):
        packed[i, 1 : 1 + len(row)] = [missing if label is None else label for label in row]
    return packed
