"""Truncated backpropagation through time: long streams in windows, the states carried from one to the next.

The gradient of a window stops at its first step; the states come from before it (Williams & Peng 1990,
doi:10.1162/neco.1990.2.4.490, with as many steps forward as back).

    twin = carry_states(model, batch_size=32)                        # shares the model's weights
    windows = Windows(x, y, window=50, batch_size=32)                # x: (streams, time, ...)
    twin.compile("adam", loss)
    twin.fit(windows, shuffle=False, callbacks=[ResetStates(windows)])
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.training.rewiring import rewire


def carry_states(model: keras.Model, batch_size: int) -> keras.Model:
    """Builds a model whose recurrent layers start each call from the states that the last call ended with.

    Args:
        model: A functional or Sequential model. A recurrent layer that is given its initial state goes on starting
            from that.
        batch_size: Number of streams side by side; row i of each call goes on with the stream in row i of the last.

    Returns:
        A model with the same weights, not copied; not compiled.

    Raises:
        ValueError: A layer reads backwards: what it carries would come from the future.
    """

    def stateful(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Bidirectional) or getattr(layer, "go_backwards", False):
            raise ValueError(f"{model.name} can't read in windows: layer {layer.name!r} reads its sequence backwards")
        if not isinstance(layer, keras.layers.RNN):
            return layer
        twin = type(layer).from_config({**layer.get_config(), "stateful": True})
        twin.cell = layer.cell
        return twin

    def fixed(x: Any) -> Any:
        # Data arrives with an open batch axis. Beside states of one row TensorFlow would take that for any number.
        return ops.reshape(x, (batch_size, -1, *x.shape[2:]))

    twin = rewire(model, stateful, lambda tensor: (batch_size, *tensor.shape[1:]), fixed)
    if keras.backend.backend() == "jax":
        _thread_states(twin)
    return twin


def _thread_states(model: keras.Model) -> None:
    """Keras leaves the states of its recurrent layers out of a model's variables, and JAX forgets what is not there."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            layer._tracker.unlock()
            for state in keras.tree.flatten(layer.states):
                layer._track_variable(state)
            layer._tracker.lock()


class Windows(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Cuts streams into windows, in order: all windows of the first few streams, then of the next few.

    The windows must come in this order: `fit(..., shuffle=False)`.

    Attributes:
        per_stream: How many windows a stream has.
    """

    def __init__(self, x: Any, y: Any, *, window: int, batch_size: int) -> None:
        """Makes the data.

        Args:
            x: (streams, time, ...), or a nest of such arrays.
            y: (streams, time, ...), the targets of each step, or a nest of such arrays.
            window: Steps in a window; as long as a stream or longer, a window is the whole stream.
            batch_size: Streams side by side.

        Raises:
            ValueError: The arrays differ in streams or steps, the streams don't fill whole batches, the windows don't
                fill whole streams, or a size is less than 1.
        """
        super().__init__()
        self._data = keras.tree.map_structure(np.asarray, (x, y))
        shapes = sorted({array.shape[:2] for array in keras.tree.flatten(self._data)})
        if len(shapes) != 1 or len(shapes[0]) != 2:
            raise ValueError(f"x and y must have the same streams and steps in front, got {shapes}")
        self._streams, self._time = (int(size) for size in shapes[0])
        if window < 1 or batch_size < 1:
            raise ValueError(f"window and batch_size must be at least 1, got {window} and {batch_size}")
        if self._streams % batch_size:
            raise ValueError(f"{self._streams} streams don't fill batches of {batch_size}: leave some out")
        window = min(window, self._time)
        if self._time % window:
            # Keras compiles for one length; a last window that is shorter would not fit.
            over = self._time % window
            raise ValueError(f"windows of {window} don't fill {self._time} steps: leave {over} out, or pad and weight")
        self._window, self._batch_size, self._last = window, batch_size, -1
        self.per_stream = self._time // window

    def __len__(self) -> int:
        return int(self._streams // self._batch_size * self.per_stream)

    def __getitem__(self, index: int) -> Any:
        if index not in (0, self._last + 1):
            raise ValueError(f"window {index} follows window {self._last}: call fit with shuffle=False")
        self._last = index
        group, place = divmod(index, self.per_stream)
        rows = slice(group * self._batch_size, (group + 1) * self._batch_size)
        steps = slice(place * self._window, (place + 1) * self._window)
        return keras.tree.map_structure(lambda array: array[rows, steps], self._data)


class ResetStates(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Sets the states of a stateful model to zero wherever a new stream begins."""

    def __init__(self, windows: Windows | int) -> None:
        """Makes the callback.

        Args:
            windows: The data, or how many windows a stream has.

        Raises:
            ValueError: A stream has less than one window.
        """
        super().__init__()
        self.per_stream = windows if isinstance(windows, int) else windows.per_stream
        if self.per_stream < 1:
            raise ValueError(f"a stream has at least one window, got {self.per_stream}")

    def _reset(self, batch: int) -> None:
        if batch % self.per_stream:
            return
        if hasattr(self.model, "jax_state_sync"):
            # With JAX the states are elsewhere during an epoch: brought back here, they are read again afterwards.
            self.model.jax_state_sync()
        for layer in self.model._flatten_layers():
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
                layer.reset_state()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Resets before a stream's first window."""
        self._reset(batch)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Resets before a stream's first window."""
        self._reset(batch)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Resets before a stream's first window."""
        self._reset(batch)
