"""Linear readouts without gradient descent: solved at once, or followed sample by sample. For any Keras model."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

Array = np.ndarray[Any, np.dtype[Any]]
Inputs = Array | Mapping[str, Array]

_BIAS_VARIANCE = 1e6
"""How much less the bias is held back than the weights, in the online rule: next to nothing."""


class _Valid(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """1.0 for each step that the mask leaves in, else 0.0."""

    def __init__(self) -> None:
        super().__init__(dtype="float32")
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return ops.ones_like(inputs[..., 0]) if mask is None else ops.cast(mask, "float32")


class _Readout:
    """The linear layer at the end of a model, and what it sees."""

    def __init__(self, model: keras.Model, name: str) -> None:
        layers = {layer.name: layer for layer in model.layers}
        if name not in layers:
            raise ValueError(f"model {model.name!r} has no layer {name!r}; it has {', '.join(layers)}")
        layer = layers[name]
        if not isinstance(layer, keras.layers.Dense) or layer.activation is not keras.activations.linear:
            raise ValueError(f"layer {name!r} must be a Dense layer without activation, got {type(layer).__name__}")
        self.layer = layer
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
        self._sees = keras.Model(inputs, [layer.input, _Valid()(layer.input)])
        self._names = [tensor.name for tensor in model.inputs]

    def rows(
        self, inputs: Inputs, targets: Array, washout: int, weights: Array | None, batch_size: int
    ) -> Iterator[tuple[Array, Array, Array]]:
        """Gives (what the readout sees and a 1, targets, weight) of the steps, flat, float64, batch by batch."""
        arrays = [inputs[name] for name in self._names] if isinstance(inputs, Mapping) else [inputs]
        for start in range(0, len(targets), batch_size):
            part = slice(start, start + batch_size)
            batch = [array[part] for array in arrays]
            x, weight = self._sees.predict_on_batch(batch if len(batch) > 1 else batch[0])
            y = np.asarray(targets[part], np.float64)
            if x.shape[:-1] != y.shape[:-1]:
                raise ValueError(f"targets must be {(*x.shape[:-1], self.layer.units)}, got {y.shape}")
            weight = np.asarray(weight, np.float64) * (1 if weights is None else weights[part])
            if x.ndim == 3:
                weight[:, :washout] = 0
            x = np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1).astype(np.float64)
            yield x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), weight.reshape(-1)

    def assign(self, solution: Array) -> None:
        """Sets kernel and bias: (seen + 1, targets)."""
        self.layer.kernel.assign(solution[:-1])
        self.layer.bias.assign(solution[-1])


def fit_readout(
    model: keras.Model,
    inputs: Inputs,
    targets: Array,
    *,
    readout: str = "predictions",
    ridge: float = 1e-6,
    washout: int = 0,
    sample_weight: Array | None = None,
    batch_size: int = 32,
) -> None:
    """Solves a model's linear readout by ridge regression; everything before it stays as it is.

    W, c = argmin sum_t w_t |x_t W + c - y_t|^2 + ridge |W|^2, by QR in float64: the bias is not held back, and the
    condition number is not squared as it would be by the normal equations. Steps that the model masks don't count.

    Args:
        model: Any functional Keras model with a Dense layer without activation.
        inputs: What the model takes: an array, or a dict of arrays by input name.
        targets: (batch, time, targets), or (batch, targets) where the readout sees one vector for a sequence.
        readout: The layer's name.
        ridge: Strength of the regularisation.
        washout: Steps at the start of each sequence that don't count: the reservoir still remembers its zero start.
        sample_weight: (batch, time) or (batch,): weight of each row, such as 0 for padding.
        batch_size: How many sequences to run at once.

    Raises:
        ValueError: There is no such layer, it is not linear, or shapes don't fit.
    """
    if ridge < 0:
        raise ValueError(f"ridge must be at least 0, got {ridge}")
    head = _Readout(model, readout)
    triangle: Array | None = None
    for x, y, weight in head.rows(inputs, np.asarray(targets), washout, sample_weight, batch_size):
        seen = x.shape[1]
        if triangle is None:
            triangle = np.diag(np.r_[np.full(seen - 1, np.sqrt(ridge)), np.zeros(1 + y.shape[1])])
        rows = np.concatenate([x, y], axis=1) * np.sqrt(weight)[:, None]
        # The triangle of all rows so far holds all that least squares needs of them.
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))
    if triangle is None:
        raise ValueError("targets must hold at least one sequence, got none")
    seen = triangle.shape[0] - np.shape(targets)[-1]
    head.assign(np.linalg.lstsq(triangle[:seen, :seen], triangle[:seen, seen:], rcond=None)[0])


class OnlineReadout:
    """Follows a stream: the readout learns from each step as it comes, the steps of a sequence in their order.

    Equation, x the readout's input and a 1, e the error before the update:
        e = y - x W
        rls: k = P x^T / (forgetting + x P x^T);  W += k e;  P = (P - k x P) / forgetting;  P_0 = 1 / ridge
        lms: W += rate x^T e

    Recursive least squares without forgetting is at each moment the ridge solution of what it has seen.
    References: Haykin 2002, Adaptive Filter Theory, chapters 5 and 9; Jaeger 2003, NIPS 15, "Adaptive nonlinear system
    identification with echo state networks".
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        readout: str = "predictions",
        rule: Literal["rls", "lms"] = "rls",
        forgetting: float = 1.0,
        ridge: float = 1e-6,
        rate: float = 0.01,
    ) -> None:
        """Begins with the readout's present weights (lms) or with none (rls).

        Args:
            model: Any functional Keras model with a Dense layer without activation. A stateful model carries its state
                from update to update.
            readout: The layer's name.
            rule: Recursive least squares, or least mean squares.
            forgetting: rls: what a step still counts after the next one; below 1 to follow what changes.
            ridge: rls: strength of the regularisation, more than 0.
            rate: lms: the step.

        Raises:
            ValueError: An unknown rule, or a value that the rule doesn't allow.
        """
        if rule not in ("rls", "lms"):
            raise ValueError(f"rule must be 'rls' or 'lms', got {rule!r}")
        if not 0 < forgetting <= 1:
            raise ValueError(f"forgetting must be more than 0 and at most 1, got {forgetting}")
        if ridge <= 0 or rate <= 0:
            raise ValueError(f"ridge and rate must be more than 0, got {ridge} and {rate}")
        self._head = _Readout(model, readout)
        self._rule, self._forgetting, self._rate = rule, forgetting, rate
        kernel, bias = (ops.convert_to_numpy(weight) for weight in (self._head.layer.kernel, self._head.layer.bias))
        self._weights = np.concatenate([kernel, bias[None]]).astype(np.float64)
        if rule == "rls":
            self._weights[:] = 0
        variance = np.r_[np.ones(len(kernel)), _BIAS_VARIANCE] / ridge
        self._covariance = np.diag(variance)

    def update(self, inputs: Inputs, targets: Array, *, washout: int = 0) -> Array:
        """Learns from sequences, step after step.

        Args:
            inputs: What the model takes.
            targets: (batch, time, targets).
            washout: Steps at the start of each sequence that are not learned from.

        Returns:
            The error at each step before the weights learned from it, in the targets' shape; 0 at steps left out.
        """
        targets = np.asarray(targets)
        (batch,) = self._head.rows(inputs, targets, washout, None, len(targets))
        errors = np.zeros((len(batch[0]), targets.shape[-1]))
        for i, (x, y, weight) in enumerate(zip(*batch, strict=True)):
            if weight > 0:
                errors[i] = y - x @ self._weights
                self._weights += np.outer(self._gain(x), errors[i])
        self._head.assign(self._weights)
        return errors.reshape(targets.shape)

    def _gain(self, x: Array) -> Array:
        if self._rule == "lms":
            return self._rate * x
        px = self._covariance @ x
        gain: Array = px / (self._forgetting + x @ px)
        covariance = (self._covariance - np.outer(gain, px)) / self._forgetting
        # Rounding makes it lopsided, and lopsided it diverges.
        self._covariance = (covariance + covariance.T) / 2
        return gain
