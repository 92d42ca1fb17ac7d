from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="seqzoo")
class FreeRunCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """A cell that reads its own last prediction: what it predicts for the next step is its next input.

    Equation:
        h_t = cell(y_{t-1}, h_{t-1}),  y_t = [h_t; h_t^2; y_{t-1}] W + c  (h_t^2 with squares, y_{t-1} with direct)

    It gives y_{t-1}: the first output is the prediction it starts from. Its own input is not read.
    """

    def __init__(self, cell: Any, readout: Any, direct: bool = True, squares: bool = False, **options: Any) -> None:
        """Makes the cell.

        Args:
            cell: The inner cell, such as an `EchoStateCell`.
            readout: A Dense layer from the cell's state to as many numbers as the cell reads.
            direct: Whether the readout also sees what the cell reads.
            squares: Whether it also sees the squares of the state.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.cell, self.readout, self.direct, self.squares = cell, readout, direct, squares
        inner = cell.state_size
        self.state_size = [readout.units, *(inner if isinstance(inner, (list, tuple)) else [inner])]
        self.output_size = readout.units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the inner cell and the readout."""
        features, width = self.readout.units, self.cell.output_size
        if not self.cell.built:
            self.cell.build((input_shape[0], features))
        if not self.readout.built:
            self.readout.build((input_shape[0], width * (1 + self.squares) + (features if self.direct else 0)))

    def call(self, inputs: Any, states: list[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Takes one step: [y, h ...] to y and [the next y, the next h ...]."""
        y, *inner = states
        h, inner = self.cell(y, inner)
        seen = [h, *([h * h] if self.squares else []), *([y] if self.direct else [])]
        return y, [self.readout(ops.concatenate(seen, axis=-1)), *inner]

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        inside = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("cell", "readout")}
        return {**super().get_config(), **inside, "direct": self.direct, "squares": self.squares}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FreeRunCell":
        """Makes the cell again, what is inside of it first."""
        inside = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("cell", "readout")}
        return cls(**{**config, **inside})
