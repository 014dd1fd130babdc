"""Modules: parameters and how they compose. A module stores parameters and calls `functional`."""

from .attention import SelfAttention
from .block import Block
from .embedding import Embedding
from .feed_forward import FeedForward
from .linear import Conv1D, Linear
from .module import Module
from .norm import LayerNorm
from .random import Dropout, dropout_state
from .recompute import recompute

__all__ = [
    "Block",
    "Conv1D",
    "Dropout",
    "Embedding",
    "FeedForward",
    "LayerNorm",
    "Linear",
    "Module",
    "SelfAttention",
    "dropout_state",
    "recompute",
]
