"""Qwen2: Llama with biases on queries, keys and values, and sliding windows in some layers.

References
----------
Yang et al., "Qwen2 Technical Report", 2024, arXiv:2407.10671. Parameter names and `config.json`:
transformers' `Qwen2ForCausalLM`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .layer_types import FULL, SLIDING, check_layer_types, window_of
from .llama import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
)

__all__ = [
    "Qwen2Config", "Qwen2ForCausalLM", "Qwen2ForSequenceClassification",
    "Qwen2ForTokenClassification", "Qwen2Model",
]  # fmt: skip


@dataclass(repr=False)
class Qwen2Config(LlamaConfig):
    """Sizes and options of a Qwen2, with Qwen2 7B's as defaults."""

    model_type = "qwen2"
    fixed: ClassVar[dict[str, Any]] = {
        "attention_bias": False,
        "mlp_bias": False,
        "use_mrope": False,
    }
    not_sizes = (*LlamaConfig.not_sizes, "max_window_layers", "sliding_window")

    vocab_size: int = 151936
    intermediate_size: int = 22016
    max_position_embeddings: int = 32768
    use_sliding_window: bool = False
    sliding_window: int | None = 4096
    max_window_layers: int = 28
    layer_types: list[str] | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.use_sliding_window:
            self.sliding_window = None
        if self.layer_types is None:
            full = self.num_hidden_layers
            if self.sliding_window is not None:
                full = min(self.max_window_layers, full)
            self.layer_types = [FULL] * full + [SLIDING] * (self.num_hidden_layers - full)
        check_layer_types(self, "use_sliding_window is off")

    def window_size(self, layer: int) -> tuple[int, int]:
        """How far back and ahead a row of this layer sees; a window counts the row itself."""
        return window_of(self, layer)

    @property
    def qkv_bias(self) -> bool:
        """Qwen2 always has these biases, and none in the output projection."""
        return True


class Qwen2Model(LlamaModel):
    """A Qwen2 without a head; see `LlamaModel`."""

    config_class = Qwen2Config


class Qwen2ForCausalLM(LlamaForCausalLM):
    """A Qwen2 with a language-modeling head; see `LlamaForCausalLM`."""

    config_class = Qwen2Config


class Qwen2ForSequenceClassification(LlamaForSequenceClassification):
    """A Qwen2 that classifies sequences; see `LlamaForSequenceClassification`."""

    config_class = Qwen2Config


class Qwen2ForTokenClassification(LlamaForTokenClassification):
    """A Qwen2 that classifies tokens; see `LlamaForTokenClassification`."""

    config_class = Qwen2Config
