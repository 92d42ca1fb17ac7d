from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class FreeRunCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A cell that reads its own last prediction: what it predicts for the next step is its next input.

    Equation:
        h_t = cell(y_{t-1}, h_{t-1}),  y_t = [h_t; y_{t-1}] W + c  (without direct: y_t = h_t W + c)

    It gives y_{t-1}: the first output is the prediction it starts from. Its own input is not read.
    """

    def __init__(self, cell: Any, readout: Any, direct: bool = True, **options: Any) -> None:
        """Makes the cell.

        Args:
            cell: The inner cell, such as an `EchoStateCell`.
            readout: A Dense layer from the cell's state to as many numbers as the cell reads.
            direct: Whether the readout also sees what the cell reads.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.cell, self.readout, self.direct = cell, readout, direct
        inner = cell.state_size
        self.state_size = [readout.units, *(inner if isinstance(inner, (list, tuple)) else [inner])]
        self.output_size = readout.units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the inner cell and the readout."""
        features, width = self.readout.units, self.cell.output_size
        if not self.cell.built:
            self.cell.build((input_shape[0], features))
        if not self.readout.built:
            self.readout.build((input_shape[0], width + features if self.direct else width))

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: [y, h ...] to y and [the next y, the next h ...]."""
        y, *inner = states
        h, inner = self.cell(y, inner)
        seen = ops.concatenate([h, y], axis=-1) if self.direct else h
        return y, [self.readout(seen), *inner]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        inside = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("cell", "readout")}
        return {**super().get_config(), **inside, "direct": self.direct}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FreeRunCell":
        """Makes the cell again, what is inside of it first."""
        inside = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("cell", "readout")}
        return cls(**{**config, **inside})
