"""The task's own metric, of the model and of its artifact: how much of it fewer bits may cost."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from export.errors import ExportError, first_line
from export.formats import unknown_name
from export.ports import Port

Arrays = dict[str, np.ndarray]
Predict = Callable[[Mapping[str, Any]], Arrays]
Evaluate = Callable[[Predict], Mapping[str, float]]
"""Computes the task's metrics, the main one first, from a callable that maps input arrays to output arrays."""

_LOWER_IS_BETTER = re.compile(
    r"loss|error|perplexity|crossentropy|entropy|(^|_)(mae|mse|rmse|mape|nll|wer|cer|bpc)($|_)"
)
_BATCH = 64


def metric_drop(name: str, keras: float, artifact: float) -> float:
    """How much worse an artifact's metric is, in points; negative where it is better.

    A point is a hundredth: of 1, or of the model's own value where that is larger, for scores (accuracy .97 -> .96 is
    one point, and so is 97 -> 96.03); of the model's own value for losses and errors, which are known by their names.
    """
    if not (math.isfinite(keras) and math.isfinite(artifact)):
        return 0.0 if keras == artifact or (math.isnan(keras) and math.isnan(artifact)) else math.inf
    if _LOWER_IS_BETTER.search(name.lower()):
        return 100 * (artifact - keras) / max(abs(keras), 1e-12)
    return 100 * (keras - artifact) / max(1.0, abs(keras))


def judge_metrics(
    evaluate: Evaluate, keras: Predict, artifact: Predict, most: float | None
) -> tuple[dict[str, dict[str, float]], str]:
    """The task's metrics of both, and what is wrong: nothing where the main one is worse by no more than `most` points.

    Args:
        evaluate: Computes the metrics.
        keras: The model.
        artifact: The artifact, by the model's names.
        most: The points; None takes any loss.
    """
    try:
        metrics = {"keras": dict(evaluate(keras)), "artifact": dict(evaluate(artifact))}
    except OSError as error:  # the caller's own file; else it would be taken for a disk that the artifact does not fit
        raise ExportError(f"evaluate failed: {type(error).__name__}: {first_line(error)}") from error
    if most is None or not metrics["keras"]:
        return metrics, ""
    name, ours = next(iter(metrics["keras"].items()))
    theirs = metrics["artifact"][name]
    drop = metric_drop(name, ours, theirs)
    if drop <= most:
        return metrics, ""
    return metrics, (f"{name} is {theirs:.4g}, the model's {ours:.4g}: {drop:.3g} points worse, {most:g} are allowed")


def check_names(inputs: Mapping[str, Any], ports: Sequence[Port]) -> None:
    """Refuses inputs that are not the model's.

    Raises:
        ExportError: A name is missing or unknown.
    """
    names = [port.name for port in ports]
    if set(inputs) != set(names):
        raise ExportError(f"the model's inputs are {names}, not {list(inputs)}")


def in_batches(predict: Predict, ports: Sequence[Port]) -> Predict:
    """Any number of rows through a function whose batch is fixed; the last call is filled up with its last row.

    Args:
        predict: Takes as many rows as `ports` say.
        ports: Its inputs.
    """
    batch = next((port.shape[0] for port in ports if port.shape), None)
    if batch is None or any(port.shape[:1] != (batch,) for port in ports):
        return predict
    size = batch

    def call(inputs: Mapping[str, Any]) -> Arrays:
        check_names(inputs, ports)
        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        for port in ports:
            _check_row(arrays[port.name], port)
        rows = len(next(iter(arrays.values())))
        parts = []
        for at in range(0, rows, size):
            kept = min(size, rows - at)
            chosen = np.minimum(np.arange(at, at + size), rows - 1)
            got = predict({name: array[chosen] for name, array in arrays.items()})
            parts.append({name: y[: len(y) * kept // size] for name, y in got.items()})  # rows may be folded with time
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return call


def _check_row(array: np.ndarray, port: Port) -> None:
    wanted = port.shape[1:]
    fits = array.ndim == len(port.shape) and len(array) > 0
    if not fits or any(size not in (None, given) for size, given in zip(wanted, array.shape[1:], strict=True)):
        raise ExportError(f"input {port.name!r} takes rows of shape {wanted}, and evaluate gives {array.shape[1:]}")


def _accuracy(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Share of rows whose largest output is the target; of one output, whose sign or half it is on."""
    if outputs.ndim == targets.ndim and outputs.shape[-1] == targets.shape[-1] > 1:
        targets = targets.argmax(-1)  # one-hot
    if outputs.shape[-1] == 1 or outputs.ndim == targets.ndim:
        threshold = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
        return float(np.mean((outputs.reshape(targets.shape) > threshold) == (targets > 0)))
    return float(np.mean(outputs.argmax(-1) == targets))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": _accuracy,
    "mae": lambda outputs, targets: float(np.mean(np.abs(outputs - targets))),
    "mse": lambda outputs, targets: float(np.mean((outputs - targets) ** 2)),
}


def evaluate_on(
    inputs: Mapping[str, np.ndarray], targets: np.ndarray, metric: str = "accuracy", output: str | None = None
) -> Evaluate:
    """An `evaluate` for a model whose metric is a common one.

    Args:
        inputs: Arrays by input name, examples along the first axis.
        targets: What the output should be, one for each example.
        metric: `accuracy`, `mae` or `mse`.
        output: The output's name; the first by default.

    Raises:
        ExportError: The metric is unknown, or the arrays hold different numbers of examples.
    """
    if metric not in METRICS:
        raise ExportError(unknown_name("metric", metric, METRICS))
    counts = {name: len(array) for name, array in {**inputs, "targets": targets}.items()}
    if len(set(counts.values())) != 1:
        raise ExportError(f"the inputs and the targets hold different numbers of examples: {counts}")

    def evaluate(predict: Predict) -> dict[str, float]:
        parts = [
            predict({name: array[at : at + _BATCH] for name, array in inputs.items()})
            for at in range(0, len(targets), _BATCH)
        ]
        name = next(iter(parts[0])) if output is None else output
        if name not in parts[0]:
            raise ExportError(unknown_name("output", name, parts[0]))
        return {metric: METRICS[metric](np.concatenate([part[name] for part in parts]), targets)}

    return evaluate
