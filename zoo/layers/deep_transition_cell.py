from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="seqzoo")
class DeepTransitionCell(GatedCell):
    """A plain recurrent cell whose step from one state to the next is several layers deep (Pascanu et al. 2014).

    Equation:
        z_1 = tanh(x_t W + h_{t-1} U + b)
        z_l = tanh(z_{l-1} V_l + c_l), l = 2 ... depth; with the shortcut, h_{t-1} S is added before the last tanh
        h_t = z_depth

    Depth 1 is the plain RNN, figure 2a; deeper is 2b, with the shortcut 2b*: the gradient then has a way over one
    nonlinearity a step, however deep the step is. Reference: arXiv:1312.6026.
    """

    gates = 1

    def __init__(self, units: int, depth: int = 2, shortcut: bool = False, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of the state and of each layer of the transition.
            depth: Number of layers between one state and the next.
            shortcut: Whether the old state also reaches the last layer directly.
            **options: Further arguments of `keras.layers.SimpleRNNCell`.

        Raises:
            ValueError: A shortcut where there is nothing to skip.
        """
        super().__init__(units, **options)
        if depth < 1 or (shortcut and depth < 2):
            raise ValueError(f"depth must be at least {2 if shortcut else 1} (shortcut={shortcut}), got {depth}")
        self.depth = depth
        self.shortcut = shortcut

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of every layer of the transition."""
        super().build(input_shape)
        self.deeper = [
            (
                self.add_weight(
                    shape=(self.units, self.units), name=f"kernel_{level}", initializer=self.recurrent_initializer
                ),
                self.add_weight(shape=(self.units,), name=f"bias_{level}", initializer=self.bias_initializer),
            )
            for level in range(2, self.depth + 1)
        ]
        if self.shortcut:
            self.shortcut_kernel = self.add_weight(
                shape=(self.units, self.units), name="shortcut_kernel", initializer=self.recurrent_initializer
            )

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h], (batch, units), to h and [h]."""
        x, h = self.drop(inputs, states[0], training)
        z = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        for kernel, bias in self.deeper:
            z = ops.matmul(self.activation(z), kernel) + bias
        if self.shortcut:
            z = z + ops.matmul(h, self.shortcut_kernel)
        z = self.activation(z)
        return z, [z]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "depth": self.depth, "shortcut": self.shortcut}
