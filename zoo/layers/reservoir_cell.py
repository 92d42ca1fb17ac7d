from typing import Any

import keras
from keras import ops


class ReservoirCell(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """What reservoirs share: weights that come from a seed, are saved with the model, and never train."""

    def __init__(self, units: int, seed: int, **options: Any) -> None:
        """Makes the cell.

        Args:
            units: Size of the reservoir.
            seed: Of the random weights.
            **options: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.units = self.output_size = units
        self.seed = seed

    def fixed(self, name: str, values: Any) -> Any:
        """Makes a weight that no training changes.

        Args:
            name: The weight's name.
            values: Its values.

        Returns:
            The variable, of the values' shape.
        """
        return self.add_weight(
            shape=values.shape,
            name=name,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(values, dtype=dtype),
            trainable=False,
        )

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "seed": self.seed}
