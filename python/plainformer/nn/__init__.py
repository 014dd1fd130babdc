"""Modules: parameters and how they compose. A module stores parameters and calls `functional`."""

from ..functional.random import dropout_state
from ..packing import packed_together
from ..parameter import Buffer, Parameter
from ..quantized import QuantizedParameter
from .attention import Attention
from .cache import CrossCache, KeyValueCache, Seq2SeqCache
from .capture import capture, part, report_state
from .containers import ModuleList, Sequential
from .empty import init_empty_weights, manual_seed
from .freezing import count_parameters
from .layers import (
    GELU,
    Conv1D,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    ReLU,
    RMSNorm,
    SiLU,
    Tanh,
    add_onto,
    linear_together,
)
from .lora import LoraConfig, LoraLinear, add_lora, lora_layers, merge_lora
from .module import Module, evaluating
from .positions import LearnedPositions, SinusoidalPositions
from .quantization import QuantizationConfig, quantize
from .recompute import recompute
from .sequences import RaggedRows, Sequences, join

__all__ = [
    "GELU",
    "Attention",
    "Buffer",
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
    "ModuleList",
    "Parameter",
    "QuantizationConfig",
    "QuantizedParameter",
    "RMSNorm",
    "RaggedRows",
    "ReLU",
    "Seq2SeqCache",
    "Sequences",
    "Sequential",
    "SiLU",
    "SinusoidalPositions",
    "Tanh",
    "add_lora",
    "add_onto",
    "capture",
    "count_parameters",
    "dropout_state",
    "evaluating",
    "init_empty_weights",
    "join",
    "linear_together",
    "lora_layers",
    "manual_seed",
    "merge_lora",
    "packed_together",
    "part",
    "quantize",
    "recompute",
    "report_state",
]
