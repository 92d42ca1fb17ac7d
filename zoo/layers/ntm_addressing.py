"""How a head of a neural Turing machine finds its place: by content, then by location (Graves et al. 2014, 3.3)."""

from typing import Any

from keras import ops

_TINY = 1e-12


def parameter_sizes(width: int, shift: int, read_heads: int, write_heads: int) -> list[int]:
    """Gives how many numbers the controller sends to all heads together.

    Args:
        width: Columns of the memory.
        shift: The furthest that a head moves in one step.
        read_heads: Number of heads that read.
        write_heads: Number of heads that write.

    Returns:
        For k, beta, g, s, gamma of all heads, and e, a of those that write.
    """
    heads = read_heads + write_heads
    return [heads * width, heads, heads, heads * (2 * shift + 1), heads, write_heads * width, write_heads * width]


def address(memory: Any, before: Any, k: Any, beta: Any, g: Any, s: Any, gamma: Any) -> Any:
    """Computes where each head looks.

    Args:
        memory: (batch, slots, width).
        before: The weights of the step before, (batch, heads, slots).
        k: What to look for, (batch, heads, width).
        beta: How much more the best match counts, (batch, heads, 1).
        g: Content, 1, or the place before, 0, (batch, heads, 1).
        s: Weight of each shift, from -n to n, (batch, heads, 2 n + 1).
        gamma: How much sharper the weights get, at least 1, (batch, heads, 1).

    Returns:
        Weights that sum to 1, (batch, heads, slots).
    """
    # (batch, heads, width) x (batch, width, slots) -> (batch, heads, slots)
    match = ops.matmul(_unit(k), ops.transpose(_unit(memory), (0, 2, 1)))
    mixed = g * ops.softmax(beta * match, axis=-1) + (1 - g) * before
    reach = (s.shape[-1] - 1) // 2
    shifted = sum(
        (s[..., i : i + 1] * _rolled(mixed, i - reach) for i in range(s.shape[-1])), start=ops.zeros_like(mixed)
    )
    # The power as a softmax: neither overflows nor divides by zero, however sharp.
    return ops.softmax(gamma * ops.log(ops.maximum(shifted, 0) + _TINY), axis=-1)


def _unit(x: Any) -> Any:
    # An empty row of the memory has no direction; a nearly empty one has.
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), _TINY))


def _rolled(weights: Any, by: int) -> Any:
    """Moves every slot's weight up the ring."""
    cut = -by % weights.shape[-1]
    return ops.concatenate([weights[..., cut:], weights[..., :cut]], axis=-1) if cut else weights
