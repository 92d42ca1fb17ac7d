"""The same model with other recurrent layers in it: everything else, weights too, is shared."""

from collections.abc import Callable
from typing import Any

import keras


def rewire(
    model: keras.Model,
    replace: Callable[[Any], Any],
    shape: Callable[[Any], Any],
    prepare: Callable[[Any], Any] = lambda x: x,
) -> keras.Model:
    """Builds a model like another one on new inputs.

    Args:
        model: A functional or Sequential model.
        replace: Gives the layer that stands in for a layer: itself, to share it.
        shape: Gives the whole shape, the batch included, of the input that stands in for an input.
        prepare: What is done to each input first.

    Returns:
        A model of the same class, not compiled.

    Raises:
        ValueError: The model is not built with the functional interface.
    """
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_run_through_graph"):
        raise ValueError(f"{model.name} is not built with the functional interface: its layers can't be exchanged")
    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(batch_shape=shape(tensor), dtype=tensor.dtype, name=tensor.name),
        graph._inputs_struct,
    )
    # keras.models.clone_model would also copy the loss, which it can't for a function that isn't registered.
    outputs = graph._run_through_graph(keras.tree.map_structure(prepare, inputs), operation_fn=replace)
    return type(graph)(inputs, outputs, name=model.name)
