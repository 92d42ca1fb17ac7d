"""One way to ask anything for its outputs: the Keras model and every artifact's runtime."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from recipes import pipelines
from recipes.data import Arrays, Column, Ragged, Split

if TYPE_CHECKING:
    from recipes.recipe import RecipeConfig

Predict = Callable[[Arrays], Arrays]
BATCH, STEPS = 256, 2**13
"""How many examples, and how many steps of them with their padding, one call gets at most."""


def keras_predict(model: keras.Model) -> Predict:
    """Makes a Keras model look like an artifact's runtime.

    Args:
        model: A functional model.

    Returns:
        A function from input name -> array to output name -> array, all examples at once.
    """
    import tensorflow as tf

    # One graph for every size of a batch and every length.
    signature = {
        tensor.name: tf.TensorSpec([None] * (tensor.ndim > 0) + list(tensor.shape[1:]), tensor.dtype)
        for tensor in model.inputs
    }

    @tf.function(input_signature=[signature], autograph=False)
    def call(inputs: dict[str, Any]) -> Any:
        return model(pipelines.feed(model, inputs), training=False)

    def predict(inputs: Arrays) -> Arrays:
        outputs = call({name: np.asarray(inputs[name], spec.dtype.as_numpy_dtype) for name, spec in signature.items()})
        if not isinstance(outputs, dict):
            parts = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            outputs = dict(zip(model.output_names, parts, strict=True))
        return {name: keras.ops.convert_to_numpy(output) for name, output in outputs.items()}

    return predict


def outputs_on(recipe: "RecipeConfig", runtime: Predict, split: Split) -> dict[str, Column]:
    """Runs a part of the data through a model, batch by batch, those of like length together.

    Args:
        recipe: Whose `condense` makes each batch's outputs small.
        runtime: A function from input name -> array to output name -> array.
        split: The part of the data.

    Returns:
        Output name -> outputs in the order of the part. Where the targets are sequences, outputs with a step for each
        of theirs are sequences too, without the padding.
    """
    rows = _calls(split)
    parts: dict[str, list[Any]] = {}
    for batch in rows:
        inputs, targets, _ = split.batch(batch)
        for name, output in recipe.condense(runtime(inputs), inputs, targets).items():
            parts.setdefault(name, []).extend(_trimmed(output, split, batch, targets))
    order = np.argsort(np.concatenate(rows))
    return {name: _joined([part[index] for index in order], split) for name, part in parts.items()}


def _calls(split: Split) -> list[np.ndarray]:
    lengths = split.lengths
    if lengths is None:
        return pipelines.batch_rows(split, BATCH, None)
    calls, call = [], []
    for row in np.argsort(lengths, kind="stable"):
        # Sorted by length: the one that comes last is the longest.
        if call and (len(call) == BATCH or (len(call) + 1) * lengths[row] > STEPS):
            calls.append(np.array(call))
            call = []
        call.append(row)
    return [*calls, np.array(call)]


def _trimmed(output: np.ndarray, split: Split, rows: np.ndarray, targets: np.ndarray) -> list[np.ndarray]:
    if isinstance(split.targets, Ragged) and output.ndim > 1 and output.shape[1] == targets.shape[1]:
        return [row[:length] for row, length in zip(output, split.targets.lengths[rows], strict=True)]
    return list(output)


def _joined(rows: list[np.ndarray], split: Split) -> Column:
    if isinstance(split.targets, Ragged) and rows[0].ndim > 0:
        return Ragged.of(rows, dtype=rows[0].dtype)
    return np.stack(rows)
