"""Trees as text, tuples and sequences, and as arrays."""

import numpy as np
import pytest

from zoo.recursive import Tree, balanced_tree, from_nested, pack_labels, pack_trees, parse_tree

SST = "(3 (2 It) (4 (4 (2 's) (3 good)) (2 .)))"


def leaves(tree: Tree) -> list[object]:
    return [node.value for node in tree.walk() if not node.children]


def test_treebank_text_is_read() -> None:
    tree = parse_tree(SST)
    assert leaves(tree) == ["It", "'s", "good", "."]
    assert [node.label for node in tree.walk()] == [2, 2, 3, 4, 2, 4, 3]
    assert (tree.label, tree.depth) == (3, 3)
    phrase = parse_tree("(S (NP the cat)\n (VP sat))")
    assert leaves(phrase) == ["the", "cat", "sat"]
    assert [child.label for child in phrase.children] == ["NP", "VP"]
    assert parse_tree("(-1 word)") == Tree("word", label=-1)


def test_only_ascii_white_space_parts_words() -> None:
    """A fraction or a name of a treebank is one word, whatever space is printed inside of it."""
    assert leaves(parse_tree("(2 (2 8\u00a01/2)\t(3\r\n(2 caf\u00e9)\x0b(2 a\u2009b\u3000c)))")) == [
        "8\u00a01/2",
        "caf\u00e9",
        "a\u2009b\u3000c",
    ]


@pytest.mark.parametrize("label", ["--", "--5", "-", "\u00b2", "NP-1", "3.5"])
def test_a_label_that_is_no_whole_number_stays_a_word(label: str) -> None:
    assert parse_tree(f"({label} word)") == Tree("word", label=label)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(3 (2 a)", r"1 '\(' without '\)'"),
        ("(3 a))", r"'\)' without '\(' at token 5"),
        ("(3 a) (2 b)", "exactly one tree"),
        ("word", "exactly one tree"),
        ("", "exactly one tree"),
        ("((2 a) (2 b))", "must be followed by a label"),
        ("()", "must be followed by a label"),
        ("(3)", "label '3' has nothing below it"),
    ],
)
def test_text_that_is_no_tree_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_tree(text)


@pytest.mark.parametrize("length", [*range(1, 18), 100, 1000])
def test_balanced_trees_are_as_deep_as_the_logarithm(length: int) -> None:
    tree = balanced_tree(range(1, length + 1))
    assert leaves(tree) == list(range(1, length + 1))
    assert tree.depth == int(np.ceil(np.log2(length)))
    assert sum(1 for _ in tree.walk()) == 2 * length - 1
    assert pack_trees([tree])["schedule"].shape[1] == max(1, tree.depth)


def test_arrays_number_children_before_parents_and_levels_together() -> None:
    packed = pack_trees([parse_tree(SST), from_nested(("a", "good")), from_nested("a")], vocabulary={"a": 7, "good": 5})
    # Leaves It 's good . are 1 to 4, (... 's good) 5, (5 .) 6, the root 7.
    assert packed["token_ids"].tolist() == [[0, 1, 1, 5, 1, 0, 0, 0], [0, 7, 5, 0, 0, 0, 0, 0], [0, 7] + [0] * 6]
    assert packed["children"][0].tolist() == [[0, 0]] * 5 + [[2, 3], [5, 4], [1, 6]]
    assert packed["children"][1].tolist() == [[0, 0]] * 3 + [[1, 2]] + [[0, 0]] * 4
    assert packed["schedule"].tolist() == [[[5], [6], [7]], [[3], [0], [0]], [[0], [0], [0]]]
    assert pack_labels([parse_tree(SST)], nodes=10).tolist() == [[-1, 2, 2, 3, 2, 4, 4, 3, -1, -1]]
    padded = pack_trees([from_nested((1, 2))], arity=3, nodes=9, levels=4, width=5)
    assert {key: array.shape[1:] for key, array in padded.items()} == {
        "token_ids": (9,),
        "children": (9, 3),
        "schedule": (4, 5),
    }
    assert {array.dtype for array in padded.values()} == {np.dtype("int32")}


def test_one_object_may_stand_at_several_places() -> None:
    leaf = Tree(4)
    pair = Tree(children=(leaf, leaf))
    packed = pack_trees([Tree(children=(pair, pair))])
    assert packed["token_ids"].tolist() == [[0, 4, 4, 4, 4, 0, 0, 0]]
    assert packed["children"][0, 5:].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_long_chain_is_a_tree_too() -> None:
    chain = Tree(1)
    for _ in range(3000):
        chain = Tree(children=(chain, Tree(2)))
    assert pack_trees([chain])["schedule"].shape == (1, 3000, 1)


def test_feature_vectors_are_packed_as_they_are() -> None:
    vectors = np.arange(6.0).reshape(3, 2)
    packed = pack_trees([balanced_tree(vectors)])
    np.testing.assert_array_equal(packed["features"][0], [[0, 0], [0, 1], [2, 3], [4, 5], [0, 0], [0, 0]])
    assert packed["features"].dtype == np.float32


@pytest.mark.parametrize(
    ("trees", "message"),
    [
        ([], "at least one tree"),
        ([Tree(1), Tree(children=(Tree(1), Tree(1), Tree(1)))], "tree 1 has a node with 3 children; arity is 2"),
        ([Tree("word")], "trees of words such as 'word' need vocabulary="),
        ([Tree(1), Tree("word")], "must all be token ids, or all words"),
        ([Tree(np.zeros(2)), Tree(np.zeros(3))], "feature vectors of one size"),
        ([Tree(0)], "integers from 1 up, 0 is nothing; got 0"),
        ([Tree(1.5)], "integers from 1 up"),
        ([Tree()], "must have values"),
    ],
)
def test_what_cannot_be_packed_is_said(trees: list[Tree], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack_trees(trees)
    with pytest.raises(ValueError, match="at least one subtree"):
        from_nested(((), 1))
    with pytest.raises(ValueError, match="at least one leaf"):
        balanced_tree([])
