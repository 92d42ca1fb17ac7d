from typing import Any, ClassVar

import keras
from keras import ops


class GatedCell(keras.layers.SimpleRNNCell):  # type: ignore[misc]  # keras ships no types
    """What gated cells share: the weights of all gates side by side, recurrent dropout, the form of the states.

    Weights: `kernel` W (features, gates x units), `recurrent_kernel` U (units, gates x units) and `bias` b
    (gates x units), in the order in which the cell's equation names its gates. Standing on Keras's own cell keeps its
    arguments (initialisers, regularisers, constraints, dropout) and lets `keras.layers.RNN` manage the dropout masks.
    """

    gates: ClassVar[int]
    """How many blocks of `units` columns the weights have."""
    memory: ClassVar[bool] = False
    """Whether there is a cell state c beside the hidden state h."""
    forget_gate: ClassVar[int | None] = None
    """Which block's bias starts at 1, so that the cell remembers before it has learned to (Jozefowicz et al. 2015)."""

    def __init__(self, units: int, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of each state.
            **options: Further arguments of `keras.layers.SimpleRNNCell`.

        Raises:
            ValueError: `use_bias=False`: the equations have one.
        """
        super().__init__(units, **options)
        if not self.use_bias:
            raise ValueError(f"{type(self).__name__} has a bias in its equation, got use_bias=False")
        if self.memory:
            self.state_size: Any = [self.units, self.units]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of all gates."""
        width = self.gates * self.units
        self.kernel = self._matrix("kernel", input_shape[-1], width)
        self.recurrent_kernel = self._matrix("recurrent", self.units, width)
        self.bias = self.add_weight(
            shape=(width,),
            name="bias",
            initializer=self._start_bias,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def _start_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        start = self.bias_initializer(shape, dtype=dtype)
        if self.forget_gate is None:
            return start
        blocks = ops.split(start, self.gates)
        blocks[self.forget_gate] = ops.ones((self.units,), dtype=dtype)
        return ops.concatenate(blocks)

    def _matrix(self, role: str, rows: int | None, columns: int) -> Any:
        return self.add_weight(
            shape=(rows, columns),
            name="kernel" if role == "kernel" else "recurrent_kernel",
            initializer=getattr(self, f"{role}_initializer"),
            regularizer=getattr(self, f"{role}_regularizer"),
            constraint=getattr(self, f"{role}_constraint"),
        )

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Gives zeros, (batch, units) for each state."""
        return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype) for _ in range(1 + self.memory)]

    def drop(self, x: Any, h: Any, training: bool) -> tuple[Any, Any]:
        """Applies the sequence's dropout masks.

        Args:
            x: The input, (batch, features).
            h: The previous hidden state, (batch, units).
            training: Whether to drop at all.

        Returns:
            Both, with the dropped entries zero and the others scaled up.
        """
        if not training:
            return x, h
        masks = self.get_dropout_mask(x), self.get_recurrent_dropout_mask(h)
        return tuple(value if mask is None else value * mask for value, mask in zip((x, h), masks, strict=True))
