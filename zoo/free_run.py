"""A reservoir let loose: it hears a sequence, then goes on by itself, each prediction its next input."""

import keras

from zoo.layers.free_run_cell import FreeRunCell
from zoo.layers.reservoir_cell import ReservoirCell


def free_run(model: keras.Model, steps: int) -> keras.Model:
    """Makes a model that hears a sequence and goes on with it.

        forecaster = free_run(model, 84)
        forecaster(heard)["free_run"]  # what comes after `heard`

    Args:
        model: A trained `echo_state_network` or `liquid_state_machine` that predicts the next step of what it hears;
            the weights are shared, not copied.
        steps: How many steps to go on.

    Returns:
        A model from `features` (batch, time, features) to a dictionary: `predictions` (batch, time, features), the next
        step after each that was heard, and `free_run` (batch, steps, features), whose first is the last of these.

    Raises:
        ValueError: The model is no such reservoir, or does not predict as many numbers as it reads.
    """
    layers = {layer.name: layer for layer in model.layers}
    reservoir, readout = layers.get("reservoir"), layers.get("predictions")
    cell = getattr(reservoir, "cell", None)
    if not isinstance(cell, ReservoirCell) or readout is None:
        raise ValueError(f"model {model.name!r} has no reservoir with a readout; build it as 'echo_state_network'")
    width = model.inputs[0].shape[-1]
    if readout.units != width:
        raise ValueError(
            f"a free run needs as many predictions as features; {model.name!r} has {readout.units} and {width}"
        )
    squares = "squares" in layers
    direct = readout.kernel.shape[0] > cell.output_size * (1 + squares)
    features = keras.Input((None, width), name="features")
    heard = keras.layers.RNN(cell, return_sequences=True, return_state=True, name="hearing")
    # (batch, time, features) -> (batch, time, units), and the states after the last step
    h, *states = heard(features)
    seen = [h]
    if squares:
        seen.append(keras.layers.Multiply(name="squares")([h, h]))
    if direct:
        seen.append(features)
    predictions = readout(keras.layers.Concatenate(name="readout_inputs")(seen) if len(seen) > 1 else h)
    first = predictions[:, -1]
    alone = keras.layers.RNN(FreeRunCell(cell, readout, direct, squares), return_sequences=True, name="free_run")
    # The cell reads nothing of this but how many steps there are.
    clock = keras.layers.RepeatVector(steps, name="clock")(first)
    run = alone(clock, initial_state=[first, *states])
    return keras.Model(features, {"predictions": predictions, "free_run": run}, name=f"{model.name}_free_run")
