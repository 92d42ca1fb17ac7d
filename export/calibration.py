"""Calibration data: typical inputs, in any of the forms in which users have them."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import QuantizationError
from export.ports import Port

Arrays = dict[str, np.ndarray]
Calibration = str | os.PathLike[str] | Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""An `.npz` file, arrays by input name with the examples along the first axis, or one set of arrays for each call."""
Step = Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]
"""(inputs, states) -> (outputs, states after), by name."""


def calibration_feeds(calibration: Calibration, ports: Sequence[Port]) -> list[Arrays]:
    """One set of inputs for each run of the model.

    Args:
        calibration: The data. Of an `.npz` file or a mapping, each run gets one example, or as many as the model's
            static batch holds; what is left over is not used.
        ports: The model's inputs.

    Returns:
        Arrays by input name, with the batch axis.

    Raises:
        QuantizationError: There are none, a name is missing or unknown, or a dtype, a shape or a value does not fit.
    """
    if isinstance(calibration, (str, os.PathLike)):
        calibration = load_arrays(calibration)
    if isinstance(calibration, Mapping):
        feeds = _split(_named(calibration, ports), ports)
    else:
        feeds = [_named(feed, ports) for feed in calibration]
    if not feeds:
        raise QuantizationError("the calibration data hold no example; a few hundred typical ones do well")
    for feed in feeds:
        for port in ports:
            _check(feed[port.name], port)
    for port in ports:
        shapes = {feed[port.name].shape for feed in feeds}
        if len(shapes) > 1:
            raise QuantizationError(
                f"calibration for input {port.name!r} comes in several shapes ({_some(shapes)}); cut or pad it to one"
            )
    return feeds


def step_feeds(
    step: Step, sequence: Sequence[Arrays], states: Arrays, rename: Callable[[str], str] = str
) -> list[Arrays]:
    """Calibration data for a step model, with the states that it really meets.

    Args:
        step: The float step.
        sequence: The inputs of one step after another.
        states: The states before the first.
        rename: A state's name -> the name of the input that takes it.

    Returns:
        Inputs and states of each step.
    """
    feeds = []
    for inputs in sequence:
        feeds.append({**inputs, **{rename(name): np.array(value) for name, value in states.items()}})
        _, states = step(dict(inputs), states)
    return feeds


def load_arrays(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of an `.npz` file; pickled objects, which could run code, are refused.

    Raises:
        QuantizationError: It cannot be read.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray):
                raise ValueError("it holds one array without a name")
            arrays = {name: archive[name] for name in archive.files}
        if other := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"it holds {other[0]!r}, which is no array")
        return arrays
    except Exception as error:  # zipfile, zlib and numpy each have their own
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        hint = "write it with numpy.savez(path, input_name=array)"
        raise QuantizationError(f"cannot read {str(path)!r} as an .npz file: {reason}; {hint}") from error


def _named(arrays: Mapping[str, Any], ports: Sequence[Port]) -> Arrays:
    names = [port.name for port in ports]
    for name in names:
        if name not in arrays:
            raise QuantizationError(f"calibration for input {name!r} is missing; there is {sorted(arrays)}")
    unknown = sorted(set(arrays) - set(names))
    if unknown:
        raise QuantizationError(f"the model has no input {unknown[0]!r} to calibrate; its inputs are {names}")
    return {name: np.asarray(arrays[name]) for name in names}


def _split(arrays: Arrays, ports: Sequence[Port]) -> list[Arrays]:
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise QuantizationError(f"the calibration arrays hold different numbers of examples: {counts}")
    batch = next((port.shape[0] for port in ports if port.shape and port.shape[0]), 1) or 1
    count = next(iter(counts.values()), 0)
    starts = range(0, count - batch + 1, batch)
    return [{name: array[at : at + batch] for name, array in arrays.items()} for at in starts]


def _check(array: np.ndarray, port: Port) -> None:
    wanted = f"calibration for input {port.name!r} should be {port.dtype} of shape {port.shape}"
    if array.dtype.name != port.dtype:
        raise QuantizationError(f"{wanted}, not {array.dtype.name}; convert it with .astype({port.dtype!r})")
    fits = array.ndim == len(port.shape) and all(
        size in (None, given) and given for size, given in zip(port.shape, array.shape, strict=True)
    )
    if not fits:
        raise QuantizationError(f"{wanted}, not of shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise QuantizationError(f"calibration for input {port.name!r} holds values that are not finite")


def _some(shapes: set[tuple[int, ...]]) -> str:
    listed = sorted(shapes)
    return ", ".join(map(str, listed[:3])) + (" ..." if len(listed) > 3 else "")
