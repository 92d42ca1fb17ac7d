"""Random numbers that are a pure function of a seed and a place: the same in Keras, LiteRT and ONNX Runtime.

The stateless generators of the backends give each other's numbers nowhere, and LiteRT has none among its builtin ops.
This one is a Feistel network (Luby & Rackoff 1988, doi:10.1137/0217022) over pairs of 16-bit halves, used as a counter:
whole numbers below 2^31, sums, products and remainders, which every runtime computes alike. For drawing tokens, not for
secrets.
"""

from typing import Any

from keras import ops

ROUNDS = 8
HALF = 1 << 16
_ROUND_STEP = 40503  # 2^16 divided by the golden ratio: round keys that don't repeat


def uniform(seed: Any, place: Any) -> Any:
    """Draws numbers, one for each seed.

    Args:
        seed: (batch,) int32.
        place: Which number of each seed's sequence, int32, a scalar or (batch,).

    Returns:
        (batch,) float32 in [0, 1), multiples of 2^-24, which float32 holds exactly.
    """
    high, low = _encrypt(seed, place)
    return (ops.cast(high, "float32") * 256 + ops.cast(ops.floor_divide(low, 256), "float32")) / float(1 << 24)


def derive(seed: Any, place: Any) -> Any:
    """Makes seeds from a seed, as different from each other as its random numbers are.

    Args:
        seed: int32, a scalar or (batch,).
        place: Which one, int32, a scalar or (batch,).

    Returns:
        int32 in [0, 2^31), of the shape that both have together.
    """
    high, low = _encrypt(seed, place)
    return ops.mod(high, HALF // 2) * HALF + low


def _encrypt(key: Any, block: Any) -> tuple[Any, Any]:
    key, block = ops.cast(key, "int32"), ops.cast(block, "int32")
    keys = ops.mod(ops.floor_divide(key, HALF), HALF), ops.mod(key, HALF)
    high, low = ops.mod(ops.floor_divide(block, HALF), HALF), ops.mod(block, HALF)
    for turn in range(ROUNDS):
        x = ops.mod(low + keys[turn % 2] + _ROUND_STEP * (turn + 1) % HALF, HALF)
        # A product of 15 bits and 16 bits, below 2^31, of two numbers that both depend on x: no linear map.
        product = ops.mod(x, HALF // 2) * ops.mod(x * 5 + keys[(turn + 1) % 2], HALF)
        # Its low bits depend on the factors' low bits only; its middle is added to them.
        high, low = low, ops.mod(high + ops.mod(product, HALF) + ops.mod(ops.floor_divide(product, 256), HALF), HALF)
    return high, low
