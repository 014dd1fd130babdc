"""Qwen2: Llama with biases on queries, keys and values, and sliding windows in some layers.

References
----------
Yang et al., "Qwen2 Technical Report", 2024, arXiv:2407.10671. Parameter names and `config.json`:
transformers' `Qwen2ForCausalLM`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError, shown
from ..options import at_least
from .config import MAX_SIZE
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
        elif self.sliding_window is not None:
            at_least(1, MAX_SIZE).check("sliding_window", self.sliding_window)
        if self.layer_types is None:
            full = self.num_hidden_layers
            if self.sliding_window is not None:
                full = min(self.max_window_layers, full)
            windows = self.num_hidden_layers - full
            self.layer_types = ["full_attention"] * full + ["sliding_attention"] * windows
        kinds = {"full_attention", "sliding_attention"}
        if len(self.layer_types) != self.num_hidden_layers or not kinds.issuperset(
            self.layer_types
        ):
            raise ConfigError(
                f"layer_types: got {shown(self.layer_types)}, expected {self.num_hidden_layers} "
                "words full_attention or sliding_attention"
            )
        if "sliding_attention" in self.layer_types and self.sliding_window is None:
            raise ConfigError("layer_types: got sliding_attention, but use_sliding_window is off")

    def window_size(self, layer: int) -> tuple[int, int]:
        """How far back and ahead a row of this layer sees; a window counts the row itself."""
        sliding = self.layer_types is not None and self.layer_types[layer] == "sliding_attention"
        return (self.sliding_window - 1, -1) if sliding and self.sliding_window else (-1, -1)

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
