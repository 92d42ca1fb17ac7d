"""A zoo of recurrent sequence models for Keras 3, by name: `zoo.create_model("sequence_classifier", ...)`."""

from zoo import bidirectional, deep, many_to_many, many_to_one, structured
from zoo.registry import create_model, get_spec, list_models, register_model

__all__ = [
    "bidirectional",
    "create_model",
    "deep",
    "get_spec",
    "list_models",
    "many_to_many",
    "many_to_one",
    "register_model",
    "structured",
]
