"""The Keras model as the judge: a function of named arrays, like a runtime."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.cases import Arrays
from export.inference import inference_form
from export.lowering import time_folded
from export.ports import identifiers
from export.quality import check_names
from export.signature import Signature, output_names

# Called eagerly, Keras runs a loop's steps one by one in Python: seconds a call. The same Keras code as a graph takes
# milliseconds, but a graph can differ: it is believed only after it agreed with the eager call this many times.
# keras.layers.TimeDistributed, of which a graph keeps one step on a dynamic time axis, is folded in it: a model that
# takes the largest of all steps, say, could agree by chance.
_CHECKS = 2


class Reference:
    """Keras's own answer, nothing of it lowered.

    Args:
        model: The model, which must be built.
        signature: How to call it.
    """

    def __init__(self, model: keras.Model, signature: Signature) -> None:
        self._model = model
        self._signature = signature
        self._checks = _CHECKS
        self._checked: set[tuple[tuple[int, ...], ...]] = set()
        self._graph = self._traced()

    def __call__(self, inputs: Mapping[str, Any]) -> Arrays:
        """The model's outputs, by name.

        Raises:
            ExportError: The inputs are not the model's.
        """
        check_names(inputs, self._signature.inputs)
        self._check_shapes(inputs)
        arrays = [tf.constant(inputs[port.name]) for port in self._signature.inputs]
        if self._graph and not self._checks:
            return _arrays(self._graph(*arrays))
        expected = self.eagerly(inputs)
        if self._graph and not _agrees(self._graph, arrays, expected):
            self._graph = None
        self._checks = max(0, self._checks - 1)
        return expected

    def eagerly(self, inputs: Mapping[str, Any]) -> Arrays:
        """The model's outputs, by layers that may have been changed since the last call: no graph knows of that."""
        return _arrays(self._call([tf.constant(inputs[port.name]) for port in self._signature.inputs]))

    def _check_shapes(self, inputs: Mapping[str, Any]) -> None:
        """Lets Keras infer the shapes: TensorFlow's convolutions give garbage for an input shorter than their window.

        Raises:
            ValueError: Keras says that a layer has no output for inputs of this size.
        """
        shapes = tuple(np.shape(inputs[port.name]) for port in self._signature.inputs)
        graph = getattr(self._model, "_functional", None) or self._model
        if shapes in self._checked or not hasattr(graph, "_nodes_by_depth"):
            return
        specs = [keras.KerasTensor(s, p.dtype) for s, p in zip(shapes, self._signature.inputs, strict=True)]
        args, _ = self._signature.pack(specs)
        try:
            graph.compute_output_spec(*args)
        except ValueError as error:
            if "zero or negative" in str(error):
                raise
        self._checked.add(shapes)

    def _call(self, tensors: Sequence[Any]) -> dict[str, Any]:
        args, kwargs = self._signature.pack(tensors)
        with inference_form(self._model):
            outputs = self._model(*args, **kwargs, training=False)
        return dict(zip(output_names(self._model, outputs), keras.tree.flatten(outputs), strict=True))

    def _traced(self) -> Any:
        ports = self._signature.inputs
        names = identifiers([port.name for port in ports])
        specs = [tf.TensorSpec(port.shape, port.dtype, name) for port, name in zip(ports, names, strict=True)]

        def call(*tensors: Any) -> dict[str, Any]:
            with time_folded():
                return self._call(tensors)

        return tf.function(call, autograph=False, input_signature=specs)


def _agrees(graph: Any, arrays: Sequence[Any], expected: Arrays) -> bool:
    try:
        outputs = _arrays(graph(*arrays))
    except Exception:  # whatever a model's code raises in a graph: the eager call stays the judge
        return False
    return all(
        outputs[name].shape == y.shape and np.allclose(outputs[name], y, rtol=1e-5, atol=1e-6, equal_nan=True)
        for name, y in expected.items()
    )


def _arrays(outputs: Mapping[str, Any]) -> Arrays:
    return {name: comparable(np.asarray(y)) for name, y in outputs.items()}


def comparable(output: np.ndarray) -> np.ndarray:
    """An output's numbers; of texts their checksums."""
    if output.dtype != object:
        return output
    return np.array([zlib.crc32(text) for text in output.ravel()]).reshape(output.shape)
