from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class CRFModel(keras.Model):  # type: ignore[misc]  # keras ships no types
    """A model with outputs `logits` and `tags` that trains on the likelihood of its layer `tags`, a `CRF`.

    The likelihood needs the emissions, the given tags, the mask and the transitions at once, which no Keras loss sees:
    so `compile` takes no loss, and `fit(x, tags)` maximises `log p(tags)`. Metrics, given as a list, are of the tags.

    Equation:
        loss = - mean over the batch of log p(tags | logits), weighted by `sample_weight` (batch,) if given
        with `sample_weight` (batch, time), 1 for a step and 0 for one that doesn't count:
        loss = - sum over the batch of log p(tags | logits) of the steps that count / the number of these steps
    """

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Gives the negative log-likelihood.

        Args:
            x: Not used.
            y: The tags, integers (batch, time), or a dictionary with key `tags`.
            y_pred: What the model gave.
            sample_weight: Weight of each sequence, (batch,), or of each step, (batch, time): a step of weight 0 is cut
                out of the chain.
            training: Not used.

        Returns:
            A scalar.
        """
        tags = y["tags"] if isinstance(y, dict) else y
        logits = y_pred["logits"]
        # Keras keeps the mask of a tensor under this name; its own losses read it there too.
        mask = getattr(logits, "_keras_mask", None)
        weight = sample_weight["tags"] if isinstance(sample_weight, dict) else sample_weight
        if weight is not None and len(weight.shape) == 2:
            counted = ops.cast(weight, "float32") > 0
            mask = counted if mask is None else ops.logical_and(mask, counted)
            total = ops.sum(self.get_layer("tags").log_likelihood(logits, tags, mask))
            return sum(self.losses) - total / ops.maximum(ops.sum(ops.cast(counted, "float32")), 1)
        likelihood = self.get_layer("tags").log_likelihood(logits, tags, mask)
        weight = ops.ones_like(likelihood) if weight is None else ops.cast(weight, "float32")
        return sum(self.losses) - ops.sum(likelihood * weight) / ops.maximum(ops.sum(weight), 1e-7)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Updates the metrics: where only the tags are given they are of the tags, whatever else the model gives.

        Args:
            x: Not used.
            y: The tags, integers (batch, time), or a dictionary by the outputs' names.
            y_pred: What the model gave.
            sample_weight: Weights of the steps, (batch, time), or by the outputs' names.

        Returns:
            Metric name -> value.
        """
        if not isinstance(y, dict):
            y_pred = y_pred["tags"]
            sample_weight = sample_weight["tags"] if isinstance(sample_weight, dict) else sample_weight
        return super().compute_metrics(x, y, y_pred, sample_weight)
