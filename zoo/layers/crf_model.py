from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class CRFModel(keras.Model):  # type: ignore[misc]  # keras ships no types
    """A model with outputs `logits` and `tags` that trains on the likelihood of its layer `tags`, a `CRF`.

    The likelihood needs the emissions, the given tags, the mask and the transitions at once, which no Keras loss sees:
    so `compile` takes no loss, and `fit(x, tags)` maximises `log p(tags)`.

    Equation:
        loss = - mean over the batch of log p(tags | logits), weighted by `sample_weight` (batch,) if given
    """

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Gives the negative log-likelihood.

        Args:
            x: Not used.
            y: The tags, integers (batch, time), or a dictionary with key `tags`.
            y_pred: What the model gave.
            sample_weight: Weight of each sequence, (batch,).
            training: Not used.

        Returns:
            A scalar.
        """
        tags = y["tags"] if isinstance(y, dict) else y
        logits = y_pred["logits"]
        # Keras keeps the mask of a tensor under this name; its own losses read it there too.
        likelihood = self.get_layer("tags").log_likelihood(logits, tags, getattr(logits, "_keras_mask", None))
        weight = sample_weight["tags"] if isinstance(sample_weight, dict) else sample_weight
        weight = ops.ones_like(likelihood) if weight is None else ops.cast(weight, "float32")
        return sum(self.losses) - ops.sum(likelihood * weight) / ops.maximum(ops.sum(weight), 1e-7)
