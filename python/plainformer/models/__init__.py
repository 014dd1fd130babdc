"""Models: one page a family, built from Hugging Face configurations."""

from .config import PretrainedConfig
from .gpt2 import GPT2Config, GPT2LMHeadModel, GPT2Model
from .outputs import CausalLMOutput
from .pretrained import PreTrainedModel
from .registry import MODELS, from_config, load

__all__ = [
    "MODELS",
    "CausalLMOutput",
    "GPT2Config",
    "GPT2LMHeadModel",
    "GPT2Model",
    "PreTrainedModel",
    "PretrainedConfig",
    "from_config",
    "load",
]
