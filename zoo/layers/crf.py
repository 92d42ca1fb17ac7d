from typing import Any

import keras
from keras import ops

from zoo.indexing import largest
from zoo.layers.chain_cells import BacktrackCell, ChainCell

IMPOSSIBLE = -1e4
"""Score of a forbidden transition: exp of it is 0 in float32, sums of it over a long sequence stay finite."""
CLAMPED = -1e9
"""Score of every tag but the given one, far below any sum of forbidden transitions."""


@keras.saving.register_keras_serializable(package="seqzoo")
class CRF(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A linear-chain conditional random field over a sequence of tags (Lafferty et al. 2001; Lample et al. 2016).

    Called with emission scores e (batch, time, classes) it gives the best path (batch, time), int32, by Viterbi's
    algorithm; `log_likelihood` scores a given path. Masked steps, wherever they stand, are cut out of the chain: the
    transition goes from the last valid step to the next. Their tag is 0.

    Equation:
        score(y) = start[y_1] + sum_t e_t[y_t] + sum_{t>1} transitions[y_{t-1}, y_t] + end[y_T]
        log p(y) = score(y) - log sum_{y'} exp score(y');  best path: argmax_y score(y)

    References: Lafferty, McCallum & Pereira 2001; Viterbi 1967, doi:10.1109/TIT.1967.1054010; arXiv:1603.01360.
    """

    def __init__(self, classes: int, forbidden: tuple[tuple[int, int], ...] = (), **options: Any) -> None:
        """Makes the layer.

        Args:
            classes: Number of tags.
            forbidden: Pairs (from, to) of tags that never follow each other, such as O to I-PER.
            **options: Further arguments of `keras.layers.Layer`; the computation is float32 whatever the policy.

        Raises:
            ValueError: A forbidden pair names a tag that there isn't.
        """
        super().__init__(**{"dtype": "float32"} | options)
        self.classes = classes
        self.forbidden = tuple((int(before), int(after)) for before, after in forbidden)
        if wrong := [pair for pair in self.forbidden if not all(0 <= tag < classes for tag in pair)]:
            raise ValueError(f"forbidden pairs hold tags from 0 to {classes - 1}, got {wrong[0]}")
        self.supports_masking = True
        self.viterbi = keras.layers.RNN(
            ChainCell(classes, self._chain, "max", dtype="float32"),
            return_sequences=True,
            return_state=True,
            dtype="float32",
            name="viterbi",
        )
        self.partition = keras.layers.RNN(
            ChainCell(classes, self._chain, "sum", dtype="float32"),
            return_state=True,
            dtype="float32",
            name="partition",
        )
        self.backtrack = keras.layers.RNN(
            BacktrackCell(classes, dtype="float32"),
            return_sequences=True,
            go_backwards=True,
            zero_output_for_mask=True,
            dtype="float32",
            name="backtrack",
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes transitions (classes, classes), start and end (classes)."""
        size = self.classes
        self.transitions = self.add_weight(shape=(size, size), name="transitions", initializer="glorot_uniform")
        self.start = self.add_weight(shape=(size,), name="start", initializer="zeros")
        self.end = self.add_weight(shape=(size,), name="end", initializer="zeros")
        allowed = [[(i, j) not in self.forbidden for j in range(size)] for i in range(size)]
        self._penalty = [[0.0 if fine else IMPOSSIBLE for fine in row] for row in allowed]
        for layer in (self.viterbi, self.partition, self.backtrack):
            layer.build(input_shape)

    def _chain(self) -> tuple[Any, Any]:
        return self.start, self.transitions + ops.convert_to_tensor(self._penalty, "float32")

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Finds the best path: emissions (batch, time, classes) to tags (batch, time), int32."""
        # (batch, time, classes): where each tag's best path came from; score of the best path into each last tag
        origins, score, _ = self.viterbi(inputs, mask=mask)
        last = ops.one_hot(largest(score + self.end), self.classes, dtype="float32")
        path = ops.flip(self.backtrack(origins, initial_state=[last], mask=mask), axis=1)
        return largest(path)

    def log_partition(self, emissions: Any, mask: Any = None) -> Any:
        """Sums over all paths.

        Args:
            emissions: (batch, time, classes).
            mask: (batch, time), True where a step is valid; None: everywhere.

        Returns:
            The logarithm of the sum of exp(score), (batch,); 0 for a row without a valid step.
        """
        _, score, started = self.partition(ops.cast(emissions, "float32"), mask=mask)
        total = ops.logsumexp(score + self.end, axis=-1)
        return ops.where(started[:, 0] > 0, total, ops.zeros_like(total))

    def log_likelihood(self, emissions: Any, tags: Any, mask: Any = None) -> Any:
        """Scores a path against all paths.

        Args:
            emissions: (batch, time, classes).
            tags: The path, integers (batch, time); what stands at masked steps doesn't matter.
            mask: (batch, time), True where a step is valid; None: everywhere.

        Returns:
            log p(tags), (batch,).
        """
        emissions = ops.cast(emissions, "float32")
        given = ops.one_hot(ops.cast(tags, "int32"), self.classes, dtype="float32")
        # A chain in which only one path has weight: its sum over paths is that path's score, whatever the mask.
        clamped = emissions + CLAMPED * (1 - given)
        return self.log_partition(clamped, mask) - self.log_partition(emissions, mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Hands the mask on."""
        return mask

    def compute_output_spec(self, inputs: Any, mask: Any = None) -> Any:
        """Gives the form of the best path: (batch, time), int32."""
        return keras.KerasTensor(inputs.shape[:-1], dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "classes": self.classes, "forbidden": self.forbidden}
