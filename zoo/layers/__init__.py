"""Cells and layers that Keras lacks; importing them lets saved models load without custom_objects."""

from zoo.layers.append_context import AppendContext
from zoo.layers.attention_cell import AttentionCell
from zoo.layers.attention_memory_cell import AttentionMemoryCell
from zoo.layers.attention_pooling import AttentionPooling
from zoo.layers.attention_rnn import AttentionRNN
from zoo.layers.coupled_lstm_cell import CoupledLSTMCell
from zoo.layers.crf import CRF
from zoo.layers.crf_model import CRFModel
from zoo.layers.deep_transition_cell import DeepTransitionCell
from zoo.layers.echo_state_cell import EchoStateCell
from zoo.layers.every_nth import EveryNth
from zoo.layers.feature_slice import FeatureSlice
from zoo.layers.feedback_cell import FeedbackCell
from zoo.layers.fold_time import FoldTime
from zoo.layers.forget_bias_lstm_cell import ForgetBiasLSTMCell
from zoo.layers.free_run_cell import FreeRunCell
from zoo.layers.global_attention import GlobalAttention
from zoo.layers.head_weights import HeadWeights
from zoo.layers.hold_steps import HoldSteps
from zoo.layers.layer_norm_lstm_cell import LayerNormLSTMCell
from zoo.layers.leaky_cell import LeakyCell
from zoo.layers.liquid_state_cell import LiquidStateCell
from zoo.layers.log_mel import LogMel
from zoo.layers.masked_pooling import MaskedPooling
from zoo.layers.memory_hops import MemoryHops
from zoo.layers.minimal_gated_cell import MinimalGatedCell
from zoo.layers.ntm_cell import NTMCell
from zoo.layers.output_recurrent_cell import OutputRecurrentCell
from zoo.layers.padding_mask import PaddingMask
from zoo.layers.partly_labelled_model import PartlyLabelledModel
from zoo.layers.peephole_lstm_cell import PeepholeLSTMCell
from zoo.layers.shifted_one_hot import ShiftedOneHot
from zoo.layers.teacher_forcing import TeacherForcing
from zoo.layers.tied_embedding import TiedEmbedding
from zoo.layers.time_skip_cell import TimeSkipCell
from zoo.layers.tree_lstm_cell import TreeLSTMCell
from zoo.layers.tree_recurrence import TreeRecurrence
from zoo.layers.tree_rnn_cell import TreeRNNCell
from zoo.layers.unfold_time import UnfoldTime
from zoo.layers.window_cell import WindowCell

__all__ = [
    "CRF",
    "AppendContext",
    "AttentionCell",
    "AttentionMemoryCell",
    "AttentionPooling",
    "AttentionRNN",
    "CRFModel",
    "CoupledLSTMCell",
    "DeepTransitionCell",
    "EchoStateCell",
    "EveryNth",
    "FeatureSlice",
    "FeedbackCell",
    "FoldTime",
    "ForgetBiasLSTMCell",
    "FreeRunCell",
    "GlobalAttention",
    "HeadWeights",
    "HoldSteps",
    "LayerNormLSTMCell",
    "LeakyCell",
    "LiquidStateCell",
    "LogMel",
    "MaskedPooling",
    "MemoryHops",
    "MinimalGatedCell",
    "NTMCell",
    "OutputRecurrentCell",
    "PaddingMask",
    "PartlyLabelledModel",
    "PeepholeLSTMCell",
    "ShiftedOneHot",
    "TeacherForcing",
    "TiedEmbedding",
    "TimeSkipCell",
    "TreeLSTMCell",
    "TreeRNNCell",
    "TreeRecurrence",
    "UnfoldTime",
    "WindowCell",
]
