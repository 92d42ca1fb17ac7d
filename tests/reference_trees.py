"""Recursive networks in NumPy, float64, one tree and one node at a time: what the batched zoo is compared with."""

from collections.abc import Callable

import numpy as np

from zoo.trees import Tree

Array = np.ndarray
States = tuple[Array, ...]
Compose = Callable[[Array, list[States]], States]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def recurse(
    tree: Tree, compose: Compose, read: Callable[[Tree], Array], visit: Callable[[Tree, States], None]
) -> States:
    """The recursion of the papers: children first, then the node."""
    states = compose(read(tree), [recurse(child, compose, read, visit) for child in tree.children])
    visit(tree, states)
    return states


def plain(kernel: Array, recurrent: Array, bias: Array, arity: int, composition: str) -> Compose:
    n = kernel.shape[1]

    def compose(x: Array, children: list[States]) -> States:
        z = x @ kernel + bias
        for k, (h,) in enumerate(children):
            z = z + h @ (recurrent[k * n : (k + 1) * n] if composition == "n_ary" else recurrent)
        return (np.tanh(z),)

    return compose


def lstm(kernel: Array, recurrent: Array, bias: Array, arity: int, composition: str) -> Compose:
    """Tai et al. 2015: equations 9-14 (N-ary) and 2-8 (child-sum), gate by gate."""
    n = kernel.shape[1] // 4
    w, b = np.split(kernel, 4, axis=1), np.split(bias, 4)

    def u(gate: int, place: int) -> Array:
        rows = slice(place * n, (place + 1) * n) if composition == "n_ary" else slice(None)
        return recurrent[rows, gate * n : (gate + 1) * n]

    def compose(x: Array, children: list[States]) -> States:
        i, o, candidate = (
            x @ w[gate] + b[gate] + sum((h @ u(gate, k) for k, (h, _) in enumerate(children)), np.zeros(n))
            for gate in range(3)
        )
        c = sigmoid(i) * np.tanh(candidate)
        for k, (h_k, c_k) in enumerate(children):
            f = x @ w[3] + b[3]
            if composition == "n_ary":
                f = f + sum(h @ u(3 + k, place) for place, (h, _) in enumerate(children))
            else:
                f = f + h_k @ u(3, 0)
            c = c + sigmoid(f) * c_k
        return sigmoid(o) * np.tanh(c), c

    return compose
