"""Qwen3: Llama with a norm of each head's queries and keys, and windows as Qwen2 has them.

References
----------
Yang et al., "Qwen3 Technical Report", 2025, arXiv:2505.09388. Parameter names and `config.json`:
transformers' `Qwen3ForCausalLM`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import functional, nn
from ..tensor import Tensor
from .llama import (
    LlamaAttention,
    LlamaConfig,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
    LlamaPreTrainedModel,
)
from .qwen2 import Qwen2Config

__all__ = [
    "Qwen3Config", "Qwen3ForCausalLM", "Qwen3ForSequenceClassification",
    "Qwen3ForTokenClassification", "Qwen3Model",
]  # fmt: skip


@dataclass(repr=False)
class Qwen3Config(Qwen2Config):
    """Sizes and options of a Qwen3, with Qwen3 8B's as transformers has them as defaults."""

    model_type = "qwen3"
    fixed: ClassVar[dict[str, Any]] = {"mlp_bias": False}

    num_key_value_heads: int | None = 32
    head_dim: int | None = 128

    @property
    def qkv_bias(self) -> bool:
        """Whether the projections to queries, keys and values have biases, as the output's has."""
        return self.attention_bias


class Qwen3Attention(LlamaAttention):
    """Attention whose queries and keys are normed head by head before they are turned."""

    def __init__(self, config: LlamaConfig, layer: int):
        super().__init__(config, layer)
        self.q_norm = nn.RMSNorm(config.head_dim or 0, config.rms_norm_eps)
        self.k_norm = nn.RMSNorm(config.head_dim or 0, config.rms_norm_eps)

    def project(self, x: Tensor) -> Sequence[Tensor]:
        """Queries (N, H D) and keys (N, KV D), normed, and values (N, KV D) of x (N, C)."""
        q, k, v = super().project(x)
        return of_heads(self.q_norm, q), of_heads(self.k_norm, k), v


def of_heads(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    """The norm of each head of x (N, H D)."""
    width = norm.weight.shape[0]
    heads = functional.reshape(x, (len(x), x.shape[1] // width, width))
    return functional.reshape(norm(heads), x.shape)


class Qwen3DecoderLayer(LlamaDecoderLayer):
    """A layer of Llama with this attention."""

    attention_class = Qwen3Attention


class Qwen3PreTrainedModel(LlamaPreTrainedModel):
    """What Qwen3's models share."""

    config_class = Qwen3Config

    def bare(self, config: Any) -> LlamaModel:
        """The model that the family's heads stand on."""
        return Qwen3Model(config, seed=None)


class Qwen3Model(Qwen3PreTrainedModel, LlamaModel):
    """A Qwen3 without a head; see `LlamaModel`."""

    layer_class = Qwen3DecoderLayer


class Qwen3ForCausalLM(Qwen3PreTrainedModel, LlamaForCausalLM):
    """A Qwen3 with a language-modeling head; see `LlamaForCausalLM`."""


class Qwen3ForSequenceClassification(Qwen3PreTrainedModel, LlamaForSequenceClassification):
    """A Qwen3 that classifies sequences; see `LlamaForSequenceClassification`."""


class Qwen3ForTokenClassification(Qwen3PreTrainedModel, LlamaForTokenClassification):
    """A Qwen3 that classifies tokens; see `LlamaForTokenClassification`."""
