"""Aids to train recurrent models, for any Keras model: callbacks, a trainer, a regulariser, data in windows.

Gradient clipping is Keras's own: `clipvalue=`, `clipnorm=` (each weight by itself) and `global_clipnorm=` (all weights
together, Pascanu et al. 2013, algorithm 1) are arguments of every optimizer.
"""

from zoo.training.gradient_flow import GradientFlow, state_gradients
from zoo.training.norm_preserving import NormPreservingCell, omega
from zoo.training.scheduled_sampling import (
    SamplingSchedule,
    ScheduledSampling,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
)
from zoo.training.teacher_forcing import teacher_forcing
from zoo.training.truncated import ResetStates, Windows, carry_states

__all__ = [
    "GradientFlow",
    "NormPreservingCell",
    "ResetStates",
    "SamplingSchedule",
    "ScheduledSampling",
    "Windows",
    "carry_states",
    "exponential_decay",
    "inverse_sigmoid_decay",
    "linear_decay",
    "omega",
    "state_gradients",
    "teacher_forcing",
]
