from typing import Any, Literal, get_args

import keras
from keras import ops

Recurrence = Literal["hidden-to-hidden", "output-to-hidden", "output-to-output"]
"""Which vector of the last step comes back, and into what."""


@keras.saving.register_keras_serializable(package="seqzoo")
class OutputRecurrentCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A cell whose recurrence comes from its hidden state or from its output (Jordan 1986).

    Equation:
        hidden-to-hidden: h_t = tanh(x_t W + h_{t-1} U + b),  o_t = h_t V + c
        output-to-hidden: h_t = tanh(x_t W + o_{t-1} U + b),  o_t = h_t V + c
        output-to-output: h_t = tanh(x_t W + b),  o_t = h_t V + o_{t-1} U + c

    Reference: Goodfellow, Bengio & Courville 2016, Deep Learning, section 10.2.
    """

    def __init__(self, units: int, targets: int, recurrence: Recurrence, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of the hidden layer.
            targets: Width of the output.
            recurrence: What comes back, and into what.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: An unknown recurrence.
        """
        super().__init__(**options)
        if recurrence not in get_args(Recurrence):
            raise ValueError(f"recurrence must be one of {', '.join(get_args(Recurrence))}, got {recurrence!r}")
        self.units, self.targets, self.recurrence = units, targets, recurrence
        self.state_size = units if recurrence == "hidden-to-hidden" else targets
        self.output_size = targets

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes W, b, V, c and the feedback U."""
        into = self.targets if self.recurrence == "output-to-output" else self.units
        shapes = {
            "kernel": (input_shape[-1], self.units),
            "output_kernel": (self.units, self.targets),
            "feedback": (self.state_size, into),
        }
        for name, shape in shapes.items():
            setattr(self, name, self.add_weight(shape=shape, name=name, initializer="glorot_uniform"))
        self.bias = self.add_weight(shape=(self.units,), name="bias", initializer="zeros")
        self.output_bias = self.add_weight(shape=(self.targets,), name="output_bias", initializer="zeros")

    def step(self, x: Any, previous: Any) -> tuple[Any, Any]:
        """Computes one step, or many at once where what comes back is known already.

        Args:
            x: (batch, features) or (batch, time, features).
            previous: What comes back, (batch, state) or (batch, time, state).

        Returns:
            The hidden layer and the output.
        """
        back = ops.matmul(previous, self.feedback)
        hidden = ops.matmul(x, self.kernel) + self.bias
        hidden = ops.tanh(hidden if self.recurrence == "output-to-output" else hidden + back)
        output = ops.matmul(hidden, self.output_kernel) + self.output_bias
        return hidden, output + back if self.recurrence == "output-to-output" else output

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and what comes back to the output and what comes back next."""
        hidden, output = self.step(inputs, states[0])
        return output, [hidden if self.recurrence == "hidden-to-hidden" else output]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        own = {"units": self.units, "targets": self.targets, "recurrence": self.recurrence}
        return {**super().get_config(), **own}
