"""Models: one page a family, built from Hugging Face configurations."""

from .config import PretrainedConfig
from .gpt2 import GPT2Config, GPT2LMHeadModel, GPT2Model
from .llama import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from .outputs import (
    BaseModelOutput,
    CausalLMOutput,
    MaskedLMOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    Seq2SeqLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from .pretrained import PreTrainedModel
from .registry import MODELS, Family, from_config, load, model_class

__all__ = [
    "MODELS",
    "BaseModelOutput",
    "CausalLMOutput",
    "Family",
    "GPT2Config",
    "GPT2LMHeadModel",
    "GPT2Model",
    "LlamaConfig",
    "LlamaForCausalLM",
    "MaskedLMOutput",
    "ModelOutput",
    "MultipleChoiceModelOutput",
    "PreTrainedModel",
    "PretrainedConfig",
    "QuestionAnsweringModelOutput",
    "Qwen2Config",
    "Qwen2ForCausalLM",
    "Seq2SeqLMOutput",
    "SequenceClassifierOutput",
    "TokenClassifierOutput",
    "from_config",
    "load",
    "model_class",
]
