"""Cells and layers that Keras lacks; importing them lets saved models load without custom_objects."""

from zoo.layers.attention_pooling import AttentionPooling
from zoo.layers.coupled_lstm_cell import CoupledLSTMCell
from zoo.layers.crf import CRF
from zoo.layers.crf_model import CRFModel
from zoo.layers.deep_transition_cell import DeepTransitionCell
from zoo.layers.forget_bias_lstm_cell import ForgetBiasLSTMCell
from zoo.layers.layer_norm_lstm_cell import LayerNormLSTMCell
from zoo.layers.masked_pooling import MaskedPooling
from zoo.layers.minimal_gated_cell import MinimalGatedCell
from zoo.layers.peephole_lstm_cell import PeepholeLSTMCell
from zoo.layers.tied_embedding import TiedEmbedding

__all__ = [
    "CRF",
    "AttentionPooling",
    "CRFModel",
    "CoupledLSTMCell",
    "DeepTransitionCell",
    "ForgetBiasLSTMCell",
    "LayerNormLSTMCell",
    "MaskedPooling",
    "MinimalGatedCell",
    "PeepholeLSTMCell",
    "TiedEmbedding",
]
