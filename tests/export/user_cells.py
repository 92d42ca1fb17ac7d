"""Cells and layers as users write them: nothing that Keras or the project knows."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("user")
class MinimalCell(keras.layers.Layer):
    """Keras's own documentation example: one state, which is the output."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")
        self.built = True

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent))
        return h, [h]


@keras.saving.register_keras_serializable("user")
class ReadoutCell(keras.layers.Layer):
    """The output differs from the state, in value and in width."""

    def __init__(self, units: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.width = units, width
        self.state_size = width
        self.output_size = units
        self.core = keras.layers.GRUCell(width)
        self.readout = keras.layers.Dense(units, activation="softsign")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "width": self.width}

    def build(self, input_shape: Any) -> None:
        self.core.build(input_shape)
        self.readout.build((input_shape[0], self.state_size))
        self.built = True

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, new = self.core(inputs, states, training=training)
        return self.readout(h) + 0.25, new


@keras.saving.register_keras_serializable("user")
class ManyStatesCell(keras.layers.Layer):
    """Three states of two widths; starts from ones; counts its steps."""

    def __init__(self, units: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.width = units, width
        self.state_size = [units, width, 1]
        self.output_size = units

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "width": self.width}

    def build(self, input_shape: Any) -> None:
        inputs = input_shape[-1]
        self.kernel = self.add_weight(shape=(inputs + self.units, self.width), name="kernel")
        self.out = self.add_weight(shape=(self.width, self.units), name="out")
        self.built = True

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        return [
            ops.ones((batch_size, self.units), dtype=self.compute_dtype),
            ops.zeros((batch_size, self.width), dtype=self.compute_dtype),
            ops.ones((batch_size, 1), dtype=self.compute_dtype),
        ]

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, slow, steps = states
        z = ops.sigmoid(ops.matmul(ops.concatenate([inputs, h], axis=-1), self.kernel))
        slow = 0.9 * slow + 0.1 * z
        h = ops.tanh(ops.matmul(slow, self.out) + 0.1 * steps)
        return h * 0.5, [h, slow, steps + 1.0]


@keras.saving.register_keras_serializable("user")
class SubclassedLstmCell(keras.layers.LSTMCell):
    """Inherits from a built-in cell and computes something else: must not be taken for the built-in one."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, new = super().call(inputs, states, training=training)
        return 2.0 * h, [new[0] * 0.5, new[1]]


class Chain(keras.Model):
    """A subclassed model over a list of layers."""

    def __init__(self, steps: list[keras.layers.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps

    def call(self, inputs: Any, training: bool = False) -> Any:
        for step in self.steps:
            inputs = step(inputs, training=training) if step._call_has_training_arg else step(inputs)
        return inputs


class DictModel(keras.Model):
    """Takes a dict, gives a nested dict: a subclassed model with two branches."""

    def __init__(self, steps: list[keras.layers.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sequence = Chain(steps, name="sequence")
        self.static = keras.layers.Dense(3, activation="tanh", name="static_part")
        self.joint = keras.layers.Dense(2, name="joint")

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        summary = self.sequence(inputs["sequence"], training=training)
        static = self.static(inputs["static"])
        joint = self.joint(ops.concatenate([summary, static], axis=-1))
        return {"joint": joint, "parts": {"summary": summary, "static": static}}


@keras.saving.register_keras_serializable("user")
class StartedCell(MinimalCell):
    """Notes that it has started: from the first step on a state is the same constant."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.state_size = [units, 1]

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, _ = super().call(inputs, states[:1], training)
        h = ops.where(states[1] > 0, h, 1.0)
        return h, [h, ops.ones_like(states[1])]
