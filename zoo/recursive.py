"""Recursive networks: the state of a node comes from the states of its children, the output from the root."""

from typing import Any

import keras

from zoo.blocks import exactly_one
from zoo.fields import PositiveInt, Rate, VocabularySize
from zoo.layers.tree_cell import Composition, TreeCell
from zoo.layers.tree_lstm_cell import TreeLSTMCell
from zoo.layers.tree_recurrence import TreeRecurrence
from zoo.layers.tree_rnn_cell import TreeRNNCell
from zoo.registry import register_model
from zoo.specs import TaskShape
from zoo.trees import Tree, balanced_tree, from_nested, pack_labels, pack_trees, parse_tree

__all__ = [
    "Tree",
    "balanced_tree",
    "from_nested",
    "pack_labels",
    "pack_trees",
    "parse_tree",
    "tree_lstm",
    "tree_rnn",
]

INPUTS = {
    "features": "batch nodes features",
    "token_ids": "batch nodes < vocabulary",
    "children": "batch nodes arity < nodes",
    "schedule": "batch levels width < nodes",
}
OUTPUTS = {"logits": "batch classes", "node_logits": "batch nodes classes if return_nodes=True"}


def _tree_inputs(features: int | None, vocabulary: int | None, embedding: int, arity: int) -> tuple[Any, Any]:
    exactly_one("features= (vectors)", features, "vocabulary= (token ids)", vocabulary)
    if vocabulary is None:
        first = x = keras.Input((None, features), dtype="float32", name="features")
    else:
        first = keras.Input((None,), dtype="int32", name="token_ids")
        # Id 0, a node that reads nothing, is masked, and its vector counts as zero.
        x = keras.layers.Embedding(vocabulary, embedding, mask_zero=True, name="embedding")(first)
    children = keras.Input((None, arity), dtype="int32", name="children")
    schedule = keras.Input((None, None), dtype="int32", name="schedule")
    return {tensor.name: tensor for tensor in (first, children, schedule)}, x


def _tree_model(name: str, inputs: dict[str, Any], x: Any, cell: TreeCell, classes: int, dropout: float) -> keras.Model:
    # Body: (batch, nodes, size) -> (batch, units) and (batch, nodes, units)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout_1")(x)
    states = TreeRecurrence(cell, name="tree")([x, inputs["children"], inputs["schedule"]])

    # Head: the same for the root as for every node, which a model may give too
    drop = keras.layers.Dropout(dropout, name="dropout") if dropout else keras.layers.Identity(name="states")
    head = keras.layers.Dense(classes, dtype="float32", name="logits")
    if not cell.return_nodes:
        return keras.Model(inputs, head(drop(states)), name=name)
    root, nodes = states
    node_logits = keras.layers.Identity(dtype="float32", name="node_logits")(head(drop(nodes)))
    return keras.Model(inputs, {"logits": head(drop(root)), "node_logits": node_logits}, name=name)


@register_model(
    shape=TaskShape.TREE_TO_ONE,
    inputs=INPUTS,
    outputs=OUTPUTS,
    streamable=False,
    references=(
        "Pollack 1990, doi:10.1016/0004-3702(90)90005-K",
        "Socher et al. 2011, ICML, Parsing natural scenes and natural language with recursive neural networks",
        "Goodfellow, Bengio & Courville 2016, Deep Learning, 10.6, figure 10.14",
    ),
    tiny={"features": 4, "classes": 2, "units": 3},
)
def tree_rnn(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    units: PositiveInt = 64,
    arity: PositiveInt = 2,
    composition: Composition = "n_ary",
    return_nodes: bool = False,
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
) -> keras.Model:
    """Reads a tree from the leaves up with a plain recursive cell, names its class from the root.

    `zoo.recursive.pack_trees` makes the inputs of parse trees, nested tuples, or balanced trees over sequences, whose
    paths are O(log n) long. A batch takes as many steps as its deepest tree has levels.

    Equation, for a node that reads x and whose children have the states h_1 ... h_K:
        n_ary: h = tanh(x W + sum_k h_k U_k + b)
        child_sum: h = tanh(x W + (sum_k h_k) U + b)
        logits = h_root V + c

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 stands at nodes that read nothing.
        classes: Number of classes, which is the number of logits.
        units: Width of a node's state.
        arity: The most children of a node.
        composition: Whether each child's place has weights of its own, or the children's states are added up.
        return_nodes: Whether to name the class of every node too, as sentiment treebanks label them.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what nodes read, and of what the logits are made of, that is dropped in training.

    Returns:
        A model from `features` (batch, nodes, features) or `token_ids` (batch, nodes), `children`
        (batch, nodes, arity) and `schedule` (batch, levels, width) to `logits` (batch, classes) of the root, and with
        `return_nodes` `node_logits` (batch, nodes, classes).

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = _tree_inputs(features, vocabulary, embedding, arity)
    cell = TreeRNNCell(units, arity, composition, return_nodes, name="tree_cell")
    return _tree_model("tree_rnn", inputs, x, cell, classes, dropout)


@register_model(
    shape=TaskShape.TREE_TO_ONE,
    inputs=INPUTS,
    outputs=OUTPUTS,
    streamable=False,
    references=("Tai, Socher & Manning 2015, arXiv:1503.00075",),
    tiny={"features": 4, "classes": 2, "units": 3},
)
def tree_lstm(
    *,
    features: PositiveInt | None = None,
    vocabulary: VocabularySize | None = None,
    classes: PositiveInt,
    units: PositiveInt = 64,
    arity: PositiveInt = 2,
    composition: Composition = "n_ary",
    return_nodes: bool = False,
    embedding: PositiveInt = 64,
    dropout: Rate = 0.0,
) -> keras.Model:
    """Reads a tree from the leaves up with an LSTM that has a forget gate for each child, names its class.

    `zoo.recursive.pack_trees` makes the inputs of parse trees, nested tuples, or balanced trees over sequences, whose
    paths are O(log n) long. A batch takes as many steps as its deepest tree has levels.

    Equation, for a node that reads x and whose children have the states h_k, c_k, k = 1 ... K:
        n_ary: [i, o, u] = x W + sum_k h_k U_k + b;  f_k = x W_f + sum_l h_l U_kl + b_f
        child_sum: [i, o, u] = x W + (sum_k h_k) U + b;  f_k = x W_f + h_k U_f + b_f
        c = sigmoid(i) * tanh(u) + sum_k sigmoid(f_k) * c_k;  h = sigmoid(o) * tanh(c)
        logits = h_root V + c_V

    Args:
        features: Size of the feature vectors; give either this or vocabulary.
        vocabulary: Number of token ids; id 0 stands at nodes that read nothing.
        classes: Number of classes, which is the number of logits.
        units: Width of a node's states.
        arity: The most children of a node.
        composition: Whether each child's place has weights of its own (constituency trees), or the children's states
            are added up (dependency trees).
        return_nodes: Whether to name the class of every node too, as sentiment treebanks label them.
        embedding: Size of the vector that stands for a token.
        dropout: Share of what nodes read, and of what the logits are made of, that is dropped in training.

    Returns:
        A model from `features` (batch, nodes, features) or `token_ids` (batch, nodes), `children`
        (batch, nodes, arity) and `schedule` (batch, levels, width) to `logits` (batch, classes) of the root, and with
        `return_nodes` `node_logits` (batch, nodes, classes).

    Raises:
        ValueError: Both or neither of features and vocabulary are given.
    """
    # Inputs
    inputs, x = _tree_inputs(features, vocabulary, embedding, arity)
    cell = TreeLSTMCell(units, arity, composition, return_nodes, name="tree_cell")
    return _tree_model("tree_lstm", inputs, x, cell, classes, dropout)
