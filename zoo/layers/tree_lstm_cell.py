from typing import Any

import keras
from keras import ops

from zoo.layers.tree_cell import TreeCell


@keras.saving.register_keras_serializable(package="seqzoo")
class TreeLSTMCell(TreeCell):
    """An LSTM over trees, with a forget gate for each child (Tai, Socher & Manning 2015).

    Equation, for a node that reads x and whose children have the states h_k, c_k, k = 1 ... K:
        n_ary (equations 9-14): [i, o, u] = x W + sum_k h_k U_k + b;  f_k = x W_f + sum_l h_l U_kl + b_f
        child_sum (2-8): [i, o, u] = x W + (sum_k h_k) U + b;  f_k = x W_f + h_k U_f + b_f
        c = sigmoid(i) * tanh(u) + sum_k sigmoid(f_k) * c_k;  h = sigmoid(o) * tanh(c)

    `kernel` holds [W, W_f] side by side, `bias` [b, b_f]; `recurrent_kernel` is (K units, (3 + K) units) with the
    columns i o u f_1 ... f_K, or (units, 4 units) with i o u f. The forget gates' bias starts at 1.
    Reference: arXiv:1503.00075.
    """

    gates, memory = 4, True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights; `input_shape` is that of what nodes read, (..., features)."""
        n, arity = self.units, self.arity
        shape = (arity * n, (3 + arity) * n) if self.composition == "n_ary" else (n, 4 * n)

        def bias(shape: tuple[int, ...], dtype: Any = None) -> Any:
            return ops.concatenate([ops.zeros((3 * n,), dtype=dtype), ops.ones((n,), dtype=dtype)])

        self.make_weights(int(input_shape[-1] or 0), bias, shape)

    def compose(self, z: Any, children: Any) -> Any:
        """Computes nodes from their children; see `TreeCell`."""
        n = self.units
        if children is None:
            return self._gate(z[:, : 3 * n], 0.0)
        h, c = children[..., :n], children[..., n:]
        recurrent = self.cast(self.recurrent_kernel)
        if self.composition == "n_ary":
            inner = ops.matmul(ops.reshape(h, (-1, self.arity * n)), recurrent)
            from_children, forget = inner[:, : 3 * n], ops.reshape(inner[:, 3 * n :], (-1, self.arity, n))
        else:
            from_children = ops.matmul(ops.sum(h, axis=1), recurrent[:, : 3 * n])
            forget = ops.reshape(ops.matmul(ops.reshape(h, (-1, n)), recurrent[:, 3 * n :]), (-1, self.arity, n))
        # (rows, 1, units) + (rows, arity, units): each child has its own gate.
        kept = ops.sum(ops.sigmoid(ops.expand_dims(z[:, 3 * n :], 1) + forget) * c, axis=1)
        return self._gate(z[:, : 3 * n] + from_children, kept)

    def _gate(self, z: Any, kept: Any) -> Any:
        """From [i, o, u] and what the forget gates keep to [h, c]."""
        n = self.units
        gates = ops.sigmoid(z[:, : 2 * n])
        c = gates[:, :n] * ops.tanh(z[:, 2 * n :]) + kept
        return ops.concatenate([gates[:, n:] * ops.tanh(c), c], axis=-1)
