"""One way to ask anything for its outputs: the Keras model and every artifact's runtime."""

from typing import TYPE_CHECKING

import keras
import numpy as np

from recipes.pipelines import feed

if TYPE_CHECKING:
    from recipes.recipe import Arrays, Predict

BATCH = 256


def keras_predict(model: keras.Model) -> "Predict":
    """Makes a Keras model look like an artifact's runtime.

    Args:
        model: A functional model.

    Returns:
        A function from input name -> array to output name -> array, all examples at once.
    """

    def predict(inputs: "Arrays") -> "Arrays":
        outputs = model.predict(feed(model, dict(inputs)), batch_size=BATCH, verbose=0)
        if isinstance(outputs, dict):
            return outputs
        parts = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return dict(zip(model.output_names, parts, strict=True))

    return predict


def in_batches(runtime: "Predict") -> "Predict":
    """Feeds a runtime batch by batch, so that a large test part fits into memory.

    Args:
        runtime: A function from input name -> array to output name -> array.

    Returns:
        The same function for any number of examples.
    """

    def predict(inputs: "Arrays") -> "Arrays":
        count = len(next(iter(inputs.values())))
        starts = range(0, count, BATCH)
        batches = [runtime({name: array[at : at + BATCH] for name, array in inputs.items()}) for at in starts]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

    return predict
