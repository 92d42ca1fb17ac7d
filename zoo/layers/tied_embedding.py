from typing import Any

import keras


@keras.saving.register_keras_serializable(package="seqzoo")
class TiedEmbedding(keras.layers.ReversibleEmbedding):  # type: ignore[misc]  # keras ships no types
    """An embedding that is also the output layer of a language model (Press & Wolf 2017, arXiv:1608.05859).

    Called with token ids (batch, time) it gives vectors (batch, time, size). Called with vectors x and `reverse=True`,
    it gives logits x E^T (batch, time, vocabulary), in float32 under every dtype policy, and hands on the mask of the
    vectors, so that the loss leaves padding out. Keras's own `ReversibleEmbedding` loses that mask.
    """

    def __init__(self, input_dim: int, output_dim: int, reverse_dtype: str = "float32", **options: Any) -> None:
        """Makes the table.

        Args:
            input_dim: Size of the vocabulary.
            output_dim: Size of the vector that stands for a token.
            reverse_dtype: What the logits are computed in.
            **options: Further arguments of `keras.layers.ReversibleEmbedding`.
        """
        super().__init__(input_dim, output_dim, reverse_dtype=reverse_dtype, **options)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Hands on the mask of the vectors; the mask of the ids is set by the call itself."""
        return mask
