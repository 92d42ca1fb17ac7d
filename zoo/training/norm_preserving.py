"""A recurrent cell whose training keeps the gradient's norm from step to step (Pascanu, Mikolov & Bengio 2013)."""

from typing import Any

import keras
from keras import ops

from zoo.layers.gated_cell import GatedCell

TINY = 1e-30
"""What a norm is divided by at the least: below the squares of all numbers that float32 tells from zero."""


def omega(deltas: Any, states: Any, recurrent_kernel: Any) -> Any:
    """Measures how far a plain recurrent layer is from keeping the norm of its gradient, equation 9.

    Equation:
        Omega = mean over the batch of sum_t (|d_t diag(1 - h_t^2) U^T| / |d_t| - 1)^2, d_t = dL/dh_t
        d_t diag(1 - h_t^2) U^T is the part of dL/dh_{t-1} that comes through h_t = tanh(x_t W + h_{t-1} U + b)

    Args:
        deltas: dL/dh_t, (batch, time, units), see `state_gradients`.
        states: h_t, (batch, time, units).
        recurrent_kernel: U, (units, units).

    Returns:
        A scalar. Steps that no gradient reaches add nothing. arXiv:1211.5063.
    """
    deltas, states = ops.convert_to_tensor(deltas), ops.convert_to_tensor(states)
    _, ratio, reached = _ratio(deltas, deltas * (1 - states * states), ops.convert_to_tensor(recurrent_kernel))
    terms = ops.where(reached, ops.square(ratio - 1), ops.zeros_like(ratio))
    return ops.mean(ops.sum(terms, axis=(1, 2)))


def _ratio(delta: Any, inner: Any, kernel: Any) -> tuple[tuple[Any, Any, Any, Any], Any, Any]:
    """-> ((back, inner, |back|, |delta|), |back| / |delta|, whether there is a gradient at all), back = inner U^T.

    Vanishing gradients are what this is for: everything is scaled by the largest entry, or squares would be zero.
    """
    scale = ops.max(ops.abs(delta), axis=-1, keepdims=True)
    reached = scale > 0
    scale = ops.where(reached, scale, ops.ones_like(scale))
    delta, inner = delta / scale, inner / scale
    back = ops.matmul(inner, ops.transpose(kernel))
    back_norm = ops.sqrt(ops.sum(ops.square(back), axis=-1, keepdims=True))
    norm = ops.sqrt(ops.sum(ops.square(delta), axis=-1, keepdims=True))
    return (back, inner, back_norm, norm), back_norm / ops.maximum(norm, TINY), reached


@keras.saving.register_keras_serializable(package="seqzoo")
class NormPreservingCell(GatedCell):
    """A plain recurrent cell that adds the derivative of `strength` times Omega to the gradient of its U.

    As in the paper, only the immediate derivative by U counts, with h_t and dL/dh_t taken as constants (its equation
    10). Inside of backpropagation through time dL/dh_t is at hand at each step: so the addend needs no second pass, no
    loss and no training loop of its own, and works with any optimizer. Omega itself is not part of the loss that Keras
    prints: `omega` measures it.

        model = keras.Sequential([keras.layers.RNN(NormPreservingCell(64, strength=2.0)), keras.layers.Dense(1)])

    Equation:
        h_t = tanh(x_t W + h_{t-1} U + b);  g_t = dL/dh_t (1 - h_t^2);  v_t = g_t U^T
        dL/dU := dL/dU + strength / batch sum_t 2 (|v_t| / |dL/dh_t| - 1) v_t^T g_t / (|dL/dh_t| |v_t|)

    Computes in float32 only: the scale of mixed precision's loss would act on one addend and not on the other.
    Reference: arXiv:1211.5063, equations 9 and 10.
    """

    gates = 1

    def __init__(self, units: int, strength: float = 1.0, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Width of the state.
            strength: What Omega is multiplied by; 0 is the plain cell.
            **options: Further arguments of `keras.layers.SimpleRNNCell`.

        Raises:
            ValueError: The strength is negative, the activation is not tanh, or the precision is not float32.
        """
        super().__init__(units, **options)
        if strength < 0:
            raise ValueError(f"strength must be at least 0, got {strength}")
        if self.activation is not keras.activations.tanh:
            raise ValueError("NormPreservingCell has tanh in its equation: leave activation out")
        if self.compute_dtype not in ("float32", "float64"):
            raise ValueError(f"NormPreservingCell computes in float32, not {self.compute_dtype}: pass dtype='float32'")
        self.strength = strength

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: (batch, features) and [h], (batch, units), to h and [h]."""
        x, h = self.drop(inputs, states[0], training)
        z = ops.matmul(x, self.kernel) + self.bias
        # Times one: TensorFlow takes no variable into a custom gradient, and Keras's conversion hands it one.
        h = _transition(self.strength)(z, h, self.recurrent_kernel * 1.0)
        return h, [h]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "strength": self.strength}


def _transition(strength: float) -> Any:
    @ops.custom_gradient  # type: ignore[untyped-decorator]  # keras ships no types
    def transition(z: Any, h: Any, kernel: Any) -> tuple[Any, Any]:
        new = ops.tanh(z + ops.matmul(h, kernel))

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            # TensorFlow and JAX pass the upstream gradient by position, torch by name.
            delta = args[0] if upstream is None else upstream
            inner = delta * (1 - new * new)
            by_kernel = ops.matmul(ops.transpose(h), inner) + strength * _omega_by_kernel(delta, inner, kernel)
            return inner, ops.matmul(inner, ops.transpose(kernel)), by_kernel

        return new, gradient

    return transition


def _omega_by_kernel(delta: Any, inner: Any, kernel: Any) -> Any:
    (back, inner, back_norm, norm), ratio, reached = _ratio(delta, inner, kernel)
    weight = 2 * (ratio - 1) / (ops.maximum(norm, TINY) * ops.maximum(back_norm, TINY))
    weight = ops.where(reached, weight, ops.zeros_like(weight))
    return ops.matmul(ops.transpose(weight * back), inner) / ops.cast(ops.shape(delta)[0], delta.dtype)
