from typing import Any, Literal

import keras
from keras import ops

from zoo.layers.ntm_addressing import address, parameter_sizes

Controller = Literal["lstm", "feed_forward"]
"""What drives the heads: a recurrent network with a state of its own, or a layer that has the memory alone."""


@keras.saving.register_keras_serializable(package="seqzoo")
class NTMCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A controller that reads and writes an external memory by attention (Graves, Wayne & Danihelka 2014).

    Equation, memory M_t (slots, width), for each head with its weights w_t over the slots:
        h_t = controller([x_t; r_{t-1}], h_{t-1})
        k, beta, g, s, gamma (write heads also e, a) = h_t W + b through tanh, softplus, sigmoid, softmax,
        1 + softplus (sigmoid, tanh)
        content: w^c = softmax_i(beta cos(k, M_{t-1}[i]));  interpolation: w^g = g w^c + (1 - g) w_{t-1}
        shift: w'_i = sum_j w^g_j s_{i-j}, around the ring;  sharpening: w_t = w'^gamma / sum w'^gamma
        write: M_t = M_{t-1} * prod_heads (1 - w_t e^T) + sum_heads w_t a^T;  read: r_t = w_t^T M_t

    All heads address M_{t-1}; reads see what was just written. Output: h_t and the reads side by side, with
    `return_weights` also the weights of the read heads and of the write heads, (heads x slots) each.
    States, all zero at the start: memory, reads, weights (as the difference from their start, where every head looks at
    slot 0), and those of the controller. All is float32 under every dtype policy: sharpening takes powers of small
    numbers. Reference: arXiv:1410.5401, sections 3.1-3.3.
    """

    def __init__(
        self,
        units: int,
        slots: int = 128,
        width: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        controller: Controller = "lstm",
        shift: int = 1,
        return_weights: bool = False,
        **options: Any,
    ) -> None:
        """Makes the cell.

        Args:
            units: Width of the controller.
            slots: Rows of the memory.
            width: Columns of the memory.
            read_heads: Number of heads that read.
            write_heads: Number of heads that write.
            controller: What drives the heads.
            shift: The furthest that a head moves in one step.
            return_weights: Whether the output holds the heads' weights too.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: Another controller, or a shift that is further than around the ring.
        """
        super().__init__(**{**options, "dtype": "float32"})
        if controller not in ("lstm", "feed_forward"):
            raise ValueError(f"controller must be 'lstm' or 'feed_forward', got {controller!r}")
        if 2 * shift + 1 > slots:
            raise ValueError(f"shift must be at most {(slots - 1) // 2} for {slots} slots, got {shift}")
        self.units, self.slots, self.width, self.shift = units, slots, width, shift
        self.read_heads, self.write_heads = read_heads, write_heads
        self.controller, self.return_weights = controller, return_weights
        heads = read_heads + write_heads
        self.state_size = [slots * width, read_heads * width, heads * slots]
        self.state_size += [units, units] if controller == "lstm" else []
        self.output_size = units + read_heads * width + return_weights * heads * slots
        self.sizes = parameter_sizes(width, shift, read_heads, write_heads)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of the controller and of the heads."""
        below = int(input_shape[-1] or 0) + self.read_heads * self.width
        if self.controller == "lstm":
            self.core = keras.layers.LSTMCell(self.units, dtype="float32", name="controller")
        else:
            self.core = keras.layers.Dense(self.units, activation="tanh", dtype="float32", name="controller")
        self.core.build((None, below))
        self.heads = keras.layers.Dense(sum(self.sizes), dtype="float32", name="heads")
        self.heads.build((None, self.units))

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and the states to the output and the states."""
        flat, reads, moved, *inner = states
        memory = ops.reshape(flat, (-1, self.slots, self.width))
        h, inner = self._control(ops.concatenate([inputs, reads], axis=-1), inner)
        heads, slots, count = self.read_heads + self.write_heads, self.slots, self.read_heads
        start = ops.one_hot(ops.zeros((1, heads), dtype="int32"), slots, dtype="float32")
        before = ops.reshape(moved, (-1, heads, slots)) + start
        k, beta, g, s, gamma, erase, add = self._head_parameters(h)
        weights = address(memory, before, k, beta, g, s, gamma)
        memory = self._write(memory, weights[:, count:], erase, add)
        # (batch, heads, slots) x (batch, slots, width) -> (batch, heads x width)
        reads = ops.reshape(ops.matmul(weights[:, :count], memory), (-1, count * self.width))
        moved = ops.reshape(weights - start, (-1, heads * slots))
        output = [h, reads, ops.reshape(weights, (-1, heads * slots))][: 2 + self.return_weights]
        return ops.concatenate(output, axis=-1), [
            ops.reshape(memory, (-1, slots * self.width)),
            reads,
            moved,
            *inner,
        ]

    def _control(self, x: Any, inner: list[Any]) -> tuple[Any, list[Any]]:
        return self.core(x, inner) if self.controller == "lstm" else (self.core(x), [])

    def _head_parameters(self, h: Any) -> list[Any]:
        """Cuts the heads' layer into k, beta, g, s, gamma of all heads and e, a of the write heads."""
        heads, writers, raw, parts = self.read_heads + self.write_heads, self.write_heads, self.heads(h), []
        start = 0
        for size in self.sizes:
            parts.append(raw[:, start : start + size])
            start += size
        k, beta, g, s, gamma, erase, add = parts
        return [
            ops.tanh(ops.reshape(k, (-1, heads, self.width))),
            ops.softplus(ops.expand_dims(beta, -1)),
            ops.sigmoid(ops.expand_dims(g, -1)),
            self._shifts(ops.reshape(s, (-1, heads, 2 * self.shift + 1))),
            1 + ops.softplus(ops.expand_dims(gamma, -1)),
            ops.sigmoid(ops.reshape(erase, (-1, writers, self.width))),
            ops.tanh(ops.reshape(add, (-1, writers, self.width))),
        ]

    def _shifts(self, s: Any) -> Any:
        return ops.softmax(s, axis=-1) if self.shift else ops.ones_like(s)

    def _write(self, memory: Any, weights: Any, erase: Any, add: Any) -> Any:
        for head in range(self.write_heads):
            # (batch, slots, 1) * (batch, 1, width)
            memory = memory * (1 - ops.expand_dims(weights[:, head], -1) * ops.expand_dims(erase[:, head], 1))
        return memory + ops.matmul(ops.transpose(weights, (0, 2, 1)), add)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        names = "units slots width read_heads write_heads controller shift return_weights"
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}
