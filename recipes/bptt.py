"""Training on one long sequence: a twin of the model whose recurrent layers carry their states from batch to batch."""

from typing import Any

import keras

from recipes.errors import RecipeError


def carrying(model: keras.Model, batch_size: int) -> keras.Model:
    """Makes a model's twin for training on a stream.

    Args:
        model: A functional model; each of its recurrent layers reads forwards.
        batch_size: Rows of each batch: the states have a place for each.

    Returns:
        A model with the same layers and weights, whose recurrent layers are stateful.

    Raises:
        RecipeError: A layer reads the future, so that it has no state to carry.
    """

    def twin(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.Bidirectional) or getattr(layer, "go_backwards", False):
            raise RecipeError(f"{model.name} can't be trained on a stream: layer {layer.name!r} reads the future")
        config = layer.get_config()
        if isinstance(layer, keras.layers.RNN):
            config["stateful"] = True
        return type(layer).from_config(config)

    inputs = [
        keras.Input(batch_shape=(batch_size, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]
    made = keras.models.clone_model(model, input_tensors=inputs if len(inputs) > 1 else inputs[0], clone_function=twin)
    copy_weights(model, made)
    return made


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives a model the weights of its twin.

    Args:
        source: Where they come from.
        target: Has layers of the same names.
    """
    for layer in target.layers:
        other = source.get_layer(layer.name)
        for mine, theirs in zip(_own(layer), _own(other), strict=True):
            mine.assign(theirs)


def carried(model: keras.Model) -> list[Any]:
    """Lists the states that a twin carries from batch to batch, in the order of its layers.

    Args:
        model: Any model.

    Returns:
        Variables (rows, units); none of a model that carries nothing.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.RNN) and layer.stateful]
    return [state for layer in layers for state in keras.tree.flatten(layer.states)]


def forget(model: keras.Model) -> None:
    """Sets the carried states to zero where a text begins: at an epoch's start and before a validation.

    Args:
        model: Any model.
    """
    for state in carried(model):
        state.assign(keras.ops.zeros(state.shape, state.dtype))


def _own(layer: keras.layers.Layer) -> list[Any]:
    # Beside the weights a stateful layer holds its states, which are no part of the model.
    states = {id(state) for state in keras.tree.flatten(getattr(layer, "states", None) or ())}
    return [variable for variable in layer.weights if id(variable) not in states]
