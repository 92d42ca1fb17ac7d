from typing import Any

import keras


@keras.saving.register_keras_serializable(package="seqzoo")
class PartlyLabelledModel(keras.Model):  # type: ignore[misc]  # keras ships no types
    """A functional model some of whose outputs nobody has labels for, such as where it looked.

    Trained on a dictionary of labels, it asks for those of the outputs that have a loss or a metric, and for no others;
    Keras itself asks for all of them as soon as there is a metric.
    """

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Updates the metrics of the outputs that have labels.

        Args:
            x: Not used.
            y: Labels, by the outputs' names where there are not as many as outputs.
            y_pred: What the model gave.
            sample_weight: Weights, by name as the labels.

        Returns:
            Metric name -> value.
        """
        if isinstance(y, dict):
            # An output without labels has no metric that would read these.
            y = {**y_pred, **y}
        if isinstance(sample_weight, dict):
            sample_weight = {**dict.fromkeys(y_pred), **sample_weight}
        return super().compute_metrics(x, y, y_pred, sample_weight)
