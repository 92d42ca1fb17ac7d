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


class ForgetBetweenTexts(keras.callbacks.Callback):
    """Sets the carried states to zero where a text begins: at each epoch's start and around each validation."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """A new epoch reads from the start."""
        self._forget()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """The validation part is another text."""
        self._forget()

    def _forget(self) -> None:
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.RNN):
                layer.reset_state()


def _own(layer: keras.layers.Layer) -> list[Any]:
    # Beside the weights a stateful layer holds its states, which are no part of the model.
    states = {id(state) for state in keras.tree.flatten(getattr(layer, "states", None) or ())}
    return [variable for variable in layer.weights if id(variable) not in states]
