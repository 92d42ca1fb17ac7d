from typing import Any, Literal

import keras
from keras import ops

Tying = Literal["adjacent", "layer_wise"]
"""Which embeddings the hops share: each hop's output is the next one's input, or all hops have the same."""


@keras.saving.register_keras_serializable(package="seqzoo")
class MemoryHops(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Reads a memory of sentences several times, each time with a better question (Sukhbaatar et al. 2015).

    Inputs: story (batch, sentences, words) and question (batch, question_words), ids in which 0 is padding.
    Outputs: u after the last hop (batch, size), and the weights p of all hops (batch, sentences, hops).

    Equation, for hop k with the embeddings A_k, C_k (vocabulary, size), T(i) the age of sentence i, 0 the newest:
        m_i = sum_j l_j * A_k[x_ij] + T^A_k[age(i)],  c_i = sum_j l_j * C_k[x_ij] + T^C_k[age(i)]
        p = softmax_i(u_k m_i) over the sentences that are there,  o = sum_i p_i c_i
        adjacent: u_{k+1} = u_k + o, A_{k+1} = C_k, T^A_{k+1} = T^C_k, B = A_1;  u_1 = sum_j l_j * B[q_j]
        layer_wise: u_{k+1} = u_k H + o, one A and one C for all hops, B of its own
        bag of words: l = 1;  position: l_jd = (1 - j/J) - (d/D) (1 - 2 j/J), j = 1 ... J the word's place, d of D

    Sentences older than `memory_size` are forgotten. Row 0 of the tables, padding, counts as zero.
    Reference: arXiv:1503.08895, sections 2 and 4.1.
    """

    def __init__(
        self,
        vocabulary: int,
        size: int,
        hops: int = 3,
        memory_size: int = 50,
        position_encoding: bool = True,
        tying: Tying = "adjacent",
        **options: Any,
    ) -> None:
        """Makes the layer.

        Args:
            vocabulary: Number of token ids, 0 included.
            size: Width of an embedding.
            hops: How often the memory is read.
            memory_size: The most sentences that are remembered.
            position_encoding: Whether a word's weight depends on its place in the sentence.
            tying: Which embeddings the hops share.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: Another tying.
        """
        super().__init__(**options)
        if tying not in ("adjacent", "layer_wise"):
            raise ValueError(f"tying must be 'adjacent' or 'layer_wise', got {tying!r}")
        self.vocabulary, self.size, self.hops, self.memory_size = vocabulary, size, hops, memory_size
        self.position_encoding, self.tying = position_encoding, tying

    def build(self, input_shape: Any) -> None:
        """Makes the tables: of words (vocabulary, size) and of ages (memory_size, size)."""
        count = self.hops + 1 if self.tying == "adjacent" else 2
        self.words = [self._table(f"words_{k}", self.vocabulary) for k in range(count)]
        self.ages = [self._table(f"ages_{k}", self.memory_size) for k in range(count)]
        if self.tying == "layer_wise":
            self.question_words = self._table("question_words", self.vocabulary)
            self.between_hops = self.add_weight(
                shape=(self.size, self.size), name="between_hops", initializer="identity"
            )

    def _table(self, name: str, rows: int) -> Any:
        return self.add_weight(
            shape=(rows, self.size), name=name, initializer=keras.initializers.RandomNormal(stddev=0.1)
        )

    def call(self, inputs: list[Any]) -> tuple[Any, Any]:
        """Reads the memory."""
        story, question = inputs
        age, there = self._age(story)
        u = self._sentence(question, self.question_words if self.tying == "layer_wise" else self.words[0])
        # Every table once; in adjacent tying a table serves two hops.
        memory = [
            self._sentence(story, words) + ops.take(ops.convert_to_tensor(ages), age, axis=0)
            for words, ages in zip(self.words, self.ages, strict=True)
        ]
        weights = []
        for hop in range(self.hops):
            first = hop if self.tying == "adjacent" else 0
            # (batch, sentences, size) with (batch, 1, size) -> (batch, sentences)
            scores = ops.sum(memory[first] * ops.expand_dims(u, 1), axis=-1)
            p = self._softmax(scores, there)
            o = ops.sum(memory[first + 1] * ops.expand_dims(p, -1), axis=1)
            u = o + (u if self.tying == "adjacent" else ops.matmul(u, self.between_hops))
            weights.append(p)
        return u, ops.stack(weights, axis=-1)

    def _age(self, story: Any) -> tuple[Any, Any]:
        """How many sentences came after each, and whether it is one to remember; (batch, sentences) both."""
        present = ops.cast(ops.any(ops.not_equal(story, 0), axis=-1), "int32")
        age = ops.sum(present, axis=-1, keepdims=True) - ops.cumsum(present, axis=-1)
        remembered = ops.logical_and(present > 0, age < self.memory_size)
        return ops.clip(age, 0, self.memory_size - 1), remembered

    def _sentence(self, ids: Any, table: Any) -> Any:
        """Sums the words' vectors, (..., words) -> (..., size)."""
        vectors = ops.take(ops.convert_to_tensor(table), ids, axis=0)
        real = ops.cast(ops.not_equal(ids, 0), vectors.dtype)
        if not self.position_encoding:
            return ops.sum(vectors * ops.expand_dims(real, -1), axis=-2)
        # float32: the place of a word in a long sentence.
        real32 = ops.cast(real, "float32")
        place = ops.cumsum(real32, axis=-1) / ops.maximum(ops.sum(real32, axis=-1, keepdims=True), 1)
        # (..., words, 1), (size) -> (..., words, size)
        place = ops.expand_dims(place, -1)
        column = ops.convert_to_tensor([(d + 1) / self.size for d in range(self.size)], dtype="float32")
        encoding = ops.expand_dims(real32, -1) * ((1 - place) - column * (1 - 2 * place))
        return ops.sum(vectors * ops.cast(encoding, vectors.dtype), axis=-2)

    def _softmax(self, scores: Any, there: Any) -> Any:
        """Weights over the sentences that are there, in float32; zeros where there is none."""
        scores = ops.where(there, ops.cast(scores, "float32"), -1e9)
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)) * ops.cast(there, "float32")
        total = ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 1e-9)
        return ops.cast(weights / total, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        names = ("vocabulary", "size", "hops", "memory_size", "position_encoding", "tying")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
