"""A step function small enough to try every sequence, in Keras for the decoder and in NumPy for the oracle."""

import itertools

import keras
import numpy as np

VOCABULARY, WIDTH, END = 4, 5, 3


class Toy:
    """A recurrent step function with random weights, in Keras for the decoder and in NumPy for the oracle."""

    def __init__(self, seed: int = 0, vocabulary: int = VOCABULARY, scale: float = 1.5) -> None:
        rng = np.random.default_rng(seed)
        self.table = rng.normal(size=(vocabulary, WIDTH)).astype("float32")
        self.inner = rng.normal(size=(WIDTH, WIDTH)).astype("float32")
        self.out = (scale * rng.normal(size=(WIDTH, vocabulary))).astype("float32")
        self.steps = 0

    def __call__(self, token_ids, states):
        self.steps += 1
        (h,) = states
        h = keras.ops.tanh(keras.ops.take(self.table, token_ids, axis=0) + keras.ops.matmul(h, self.inner))
        return keras.ops.matmul(h, self.out), (h,)

    def log_probabilities(self, h: np.ndarray, token: int) -> tuple[np.ndarray, np.ndarray]:
        h = np.tanh(self.table[token] + h @ self.inner)
        logits = (h @ self.out).astype(np.float64)
        return logits - np.logaddexp.reduce(logits), h

    def score(self, h: np.ndarray, first: int, tokens) -> float:
        total, token = 0.0, first
        for following in tokens:
            scores, h = self.log_probabilities(h, token)
            total, token = total + scores[following], following
        return total

    def sequences(self, max_length: int, padding: int | None = 0) -> list[tuple[int, ...]]:
        """Every sequence that ends, or is cut at max_length."""
        tokens = [token for token in range(self.table.shape[0]) if token != padding]
        return [
            sequence
            for length in range(1, max_length + 1)
            for sequence in itertools.product(tokens, repeat=length)
            if END not in sequence[:-1] and (sequence[-1] == END or length == max_length)
        ]


def starts(batch: int, seed: int = 1) -> tuple[np.ndarray, tuple[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, VOCABULARY - 1, batch).astype("int32"), (rng.normal(size=(batch, WIDTH)).astype("float32"),)


def row(result, i: int) -> tuple[int, ...]:
    return tuple(np.asarray(result.token_ids)[i, : np.asarray(result.lengths)[i]].tolist())
