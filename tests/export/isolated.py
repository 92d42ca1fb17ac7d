"""Runs an artifact where neither TensorFlow nor Keras nor this project can be imported. Not a test: a script.

usage: python isolated.py ARTIFACT INPUTS.npz OUTPUTS.npz
"""

import sys

FORBIDDEN = ("tensorflow", "keras", "tf2onnx", "zoo", "export", "recipes", "tests", "jax", "torch")


class Forbid:
    """An importer that refuses."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not installed here")


sys.meta_path.insert(0, Forbid())  # type: ignore[arg-type]

import numpy as np  # noqa: E402

artifact, given, wanted = sys.argv[1:]
inputs = dict(np.load(given))
if artifact.endswith(".onnx"):
    import onnxruntime

    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs), strict=True))
else:
    from ai_edge_litert.interpreter import Interpreter

    outputs = Interpreter(model_path=artifact).get_signature_runner()(**inputs)
assert not [name for name in sys.modules if name.split(".")[0] in FORBIDDEN]
np.savez(wanted, **outputs)
