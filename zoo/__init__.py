"""A zoo of recurrent sequence models for Keras 3, by name: `zoo.create_model("sequence_classifier", ...)`."""

from zoo import (
    autoregressive,
    bidirectional,
    decoding,
    deep,
    encoder_decoder,
    generation,
    many_to_many,
    many_to_one,
    memory,
    one_to_many,
    recursive,
    reservoir,
    structured,
    timescales,
)
from zoo.registry import create_model, get_spec, list_models, register_model

__all__ = [
    "autoregressive",
    "bidirectional",
    "create_model",
    "decoding",
    "deep",
    "encoder_decoder",
    "generation",
    "get_spec",
    "list_models",
    "many_to_many",
    "many_to_one",
    "memory",
    "one_to_many",
    "recursive",
    "register_model",
    "reservoir",
    "structured",
    "timescales",
]
