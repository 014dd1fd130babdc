"""Modules: parameters and how they compose. A module stores parameters and calls `functional`."""

from ..packing import packed_together
from .attention import Attention
from .cache import CrossCache, KeyValueCache, Seq2SeqCache
from .capture import capture, part, report_state
from .embedding import Embedding
from .empty import init_empty_weights
from .linear import Conv1D, Linear, linear_together
from .lora import LoraConfig, LoraLinear, add_lora, lora_layers, merge_lora
from .module import Module, evaluating
from .norm import LayerNorm, RMSNorm
from .positions import LearnedPositions, SinusoidalPositions
from .random import Dropout, dropout_state
from .recompute import recompute
from .sequences import Sequences, join

__all__ = [
    "Attention",
    "Conv1D",
    "CrossCache",
    "Dropout",
    "Embedding",
    "KeyValueCache",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "LoraConfig",
    "LoraLinear",
    "Module",
    "RMSNorm",
    "Seq2SeqCache",
    "Sequences",
    "SinusoidalPositions",
    "add_lora",
    "capture",
    "dropout_state",
    "evaluating",
    "init_empty_weights",
    "join",
    "linear_together",
    "lora_layers",
    "merge_lora",
    "packed_together",
    "part",
    "recompute",
    "report_state",
]
