import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from recipes.datasets.raw import Raw
from recipes.datasets.source import Example, Source

URL = "https://raw.githubusercontent.com/munikarmanish/RNTN/12bb731ba9fbdcdf2368b8515a241773f2b97547/trees/"
TRAIN_TREES = 8544
"""In the published train file; the repository's has the dev trees behind them."""
TOKEN = re.compile(r"[()]|[^() ]+")
ARITY = 2


class SentimentTreebank(Source):
    """The Stanford Sentiment Treebank: binary parse trees with a sentiment at every node."""

    ABOUT = "Sentences of film reviews as binary trees, each node labelled 0 (very negative) to 4 (very positive)"
    LICENCE = "not stated; for research"
    HOMEPAGE = "https://nlp.stanford.edu/sentiment/"
    CITATION = """@inproceedings{socher2013recursive,
  title={Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank},
  author={Socher, Richard and Perelygin, Alex and Wu, Jean and Chuang, Jason and Manning, Christopher D. and others},
  booktitle={EMNLP}, year={2013}
}"""
    FILES: ClassVar = {f"trees/{part}.txt": f"{URL}{part}.txt" for part in ("train", "dev", "test")}
    COUNTS: ClassVar = {"": (8_544, 1_101, 2_210)}
    UNIT = "trees"

    @classmethod
    def features(cls, config: str) -> dict[str, Any]:
        """What a tree is.

        `tree`: in brackets, as in the file. `label`: the root's. `tokens`: the words. Nodes in post-order, each after
        its two children, the root last: `node_labels` (nodes,), `children` (nodes, 2), the children's numbers, -1 at a
        leaf; the leaves are the tokens in their order.
        """
        return {
            "tree": tfds.features.Text(),
            "label": tfds.features.Scalar(dtype=np.int64),
            "tokens": tfds.features.Sequence(tfds.features.Text()),
            "node_labels": tfds.features.Tensor(shape=(None,), dtype=np.int64),
            "children": tfds.features.Tensor(shape=(None, ARITY), dtype=np.int64),
        }

    @classmethod
    def read(cls, raw: Raw, config: str) -> dict[str, Iterable[Example]]:
        """Gives the official parts, in the order of the lines."""
        parts = {split: list(_trees(raw, f"trees/{split}.txt")) for split in ("train", "dev", "test")}
        train, dev = parts["train"], parts["dev"]
        if [tree["tree"] for tree in train[TRAIN_TREES:]] == [tree["tree"] for tree in dev]:
            train = train[:TRAIN_TREES]
        return {"train": train, "validation": dev, "test": parts["test"]}


@dataclasses.dataclass
class _Nodes:
    """What is known so far of a tree that is being read."""

    labels: list[int] = dataclasses.field(default_factory=list)
    children: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    tokens: list[str] = dataclasses.field(default_factory=list)


def _trees(raw: Raw, name: str) -> Iterator[Example]:
    for number, line in raw.lines(name):
        try:
            nodes = _parse(line)
        except ValueError as error:
            raise raw.error(name, number, "a binary tree such as (3 (2 It) (4 works))", str(error)) from error
        yield {
            "tree": line,
            "label": nodes.labels[-1],
            "tokens": nodes.tokens,
            "node_labels": np.asarray(nodes.labels, dtype=np.int64),
            "children": np.asarray(nodes.children, dtype=np.int64),
        }


def _parse(line: str) -> _Nodes:
    nodes, open_nodes, done = _Nodes(), [], []
    # No recursion: how deep a tree is, is the file's choice.
    for match in TOKEN.finditer(line):
        token, column = match[0], match.start() + 1
        if token == "(":
            if done and not open_nodes:
                raise ValueError(f"a second tree at column {column}")
            open_nodes.append([])
        elif not open_nodes:
            raise ValueError(f"{token!r} outside of all brackets at column {column}")
        elif token == ")":
            done = [_close(nodes, open_nodes.pop(), column)]
            if open_nodes:
                open_nodes[-1].append(done[0])
        else:
            open_nodes[-1].append(token)
    if open_nodes or not done:
        raise ValueError(f"{len(open_nodes)} bracket(s) that are not closed" if open_nodes else "an empty line")
    return nodes


def _close(nodes: _Nodes, parts: list[str | int], column: int) -> int:
    label, *rest = parts or [""]
    if not isinstance(label, str) or label not in ("0", "1", "2", "3", "4"):
        raise ValueError(f"the label {label!r} before column {column}, which is not one of 0 to 4")
    match rest:
        case [str(word)]:
            nodes.tokens.append(word)
            nodes.children.append((-1, -1))
        case [int(left), int(right)]:
            nodes.children.append((left, right))
        case _:
            raise ValueError(f"a node that is neither a word nor two nodes before column {column}")
    nodes.labels.append(int(label))
    return len(nodes.labels) - 1
