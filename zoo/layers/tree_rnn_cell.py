from typing import Any

import keras
from keras import ops

from zoo.layers.tree_cell import TreeCell


@keras.saving.register_keras_serializable(package="seqzoo")
class TreeRNNCell(TreeCell):
    """A plain recursive cell: a node's state from its input and its children's states (Pollack 1990; Socher 2011).

    Equation, for a node that reads x and whose children have the states h_1 ... h_K:
        n_ary: h = tanh(x W + sum_k h_k U_k + b), U_1 ... U_K below each other in `recurrent_kernel`
        child_sum: h = tanh(x W + (sum_k h_k) U + b)

    References: doi:10.1016/0004-3702(90)90005-K; Socher et al. 2011, ICML; Goodfellow et al. 2016, section 10.6.
    """

    gates = 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights; `input_shape` is that of what nodes read, (..., features)."""
        places = self.arity if self.composition == "n_ary" else 1
        self.make_weights(int(input_shape[-1] or 0), "zeros", (places * self.units, self.units))

    def compose(self, z: Any, children: Any) -> Any:
        """Computes nodes from their children; see `TreeCell`."""
        if children is None:
            return ops.tanh(z)
        n_ary = self.composition == "n_ary"
        h = ops.reshape(children, (-1, self.arity * self.units)) if n_ary else ops.sum(children, axis=1)
        return ops.tanh(z + ops.matmul(h, self.cast(self.recurrent_kernel)))
