"""A zoo of recurrent sequence models for Keras 3, by name: `zoo.create_model("sequence_classifier", ...)`."""

from zoo import bidirectional, deep, encoder_decoder, many_to_many, many_to_one, reservoir, structured, timescales
from zoo.registry import create_model, get_spec, list_models, register_model

__all__ = [
    "bidirectional",
    "create_model",
    "deep",
    "encoder_decoder",
    "get_spec",
    "list_models",
    "many_to_many",
    "many_to_one",
    "register_model",
    "reservoir",
    "structured",
    "timescales",
]
