"""Mistral: Llama with groups of query heads and a sliding window in every layer.

References
----------
Jiang et al., "Mistral 7B", 2023, arXiv:2310.06825. Parameter names and `config.json`:
transformers' `MistralForCausalLM`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .layer_types import check_sliding_window, window_behind
from .llama import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
)

__all__ = [
    "MistralConfig", "MistralForCausalLM", "MistralForSequenceClassification",
    "MistralForTokenClassification", "MistralModel",
]  # fmt: skip


@dataclass(repr=False)
class MistralConfig(LlamaConfig):
    """Sizes and options of a Mistral, with Mistral 7B's as defaults.

    sliding_window : how many rows a row sees, itself among them; None means all before it
    """

    model_type = "mistral"
    fixed: ClassVar[dict[str, Any]] = {"attention_bias": False, "mlp_bias": False}
    not_sizes = (*LlamaConfig.not_sizes, "sliding_window")

    intermediate_size: int = 14336
    num_key_value_heads: int | None = 8
    max_position_embeddings: int = 4096 * 32
    sliding_window: int | None = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sliding_window(self.sliding_window)

    def window_size(self, layer: int) -> tuple[int, int]:
        """How far back and ahead a row of this layer sees."""
        return window_behind(self.sliding_window)


class MistralModel(LlamaModel):
    """A Mistral without a head; see `LlamaModel`."""

    config_class = MistralConfig


class MistralForCausalLM(LlamaForCausalLM):
    """A Mistral with a language-modeling head; see `LlamaForCausalLM`."""

    config_class = MistralConfig


class MistralForSequenceClassification(LlamaForSequenceClassification):
    """A Mistral that classifies sequences; see `LlamaForSequenceClassification`."""

    config_class = MistralConfig


class MistralForTokenClassification(LlamaForTokenClassification):
    """A Mistral that classifies tokens; see `LlamaForTokenClassification`."""

    config_class = MistralConfig
