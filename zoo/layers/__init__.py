"""Cells and layers that Keras lacks; importing them lets saved models load without custom_objects."""

from zoo.layers.tied_embedding import TiedEmbedding

__all__ = ["TiedEmbedding"]
