"""Gemma 2: norms around each sublayer, capped scores and logits, every other layer slides.

References
----------
Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024, arXiv:2408.00118.
Parameter names and `config.json`: transformers' `Gemma2ForCausalLM`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .. import functional, nn
from ..errors import ConfigError, shown
from ..nn.rotary import Turn
from ..tensor import Array, Tensor
from .layer_types import alternating, check_layer_types, window_of
from .llama import (
    LlamaConfig,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
    LlamaPreTrainedModel,
)

__all__ = [
    "Gemma2Config", "Gemma2ForCausalLM", "Gemma2ForSequenceClassification",
    "Gemma2ForTokenClassification", "Gemma2Model",
]  # fmt: skip


@dataclass(repr=False)
class Gemma2Config(LlamaConfig):
    """Sizes and options of a Gemma 2, with transformers' defaults.

    query_pre_attn_scalar : scores are divided by its root
    attn_logit_softcapping, final_logit_softcapping : what scores and logits are capped at; None
        means not at all
    """

    model_type = "gemma2"
    aliases: ClassVar[dict[str, str]] = {"hidden_activation": "hidden_act"}
    inert = frozenset({"cache_implementation"})
    fixed: ClassVar[dict[str, Any]] = {"mlp_bias": False, "use_bidirectional_attention": False}
    not_sizes = (*LlamaConfig.not_sizes, "sliding_window")
    full_every: ClassVar[int] = 2  # the layers between slide

    vocab_size: int = 256000
    hidden_size: int = 2304
    intermediate_size: int = 9216
    num_hidden_layers: int = 26
    num_attention_heads: int = 8
    num_key_value_heads: int | None = 4
    head_dim: int | None = 256
    hidden_act: str = "gelu_pytorch_tanh"
    max_position_embeddings: int = 8192
    query_pre_attn_scalar: float = 256
    sliding_window: int | None = 4096
    layer_types: list[str] | None = None
    attn_logit_softcapping: float | None = 50.0
    final_logit_softcapping: float | None = 30.0
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 2
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer_types is None:
            self.layer_types = alternating(self.num_hidden_layers, self.full_every)
        check_layer_types(self)
        for name in ("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name}: got {shown(value)}, expected a number above 0")

    def to_dict(self) -> dict[str, Any]:
        """As Llama's, with the activation under Gemma's name too."""
        return {**super().to_dict(), "hidden_activation": self.hidden_act}

    def window_size(self, layer: int) -> tuple[int, int]:
        """How far back and ahead a row of this layer sees; a window counts the row itself."""
        return window_of(self, layer)

    @property
    def attention_scale(self) -> float | None:
        """What scores are multiplied with."""
        return self.query_pre_attn_scalar**-0.5

    @property
    def attention_softcap(self) -> float:
        """What scores are capped at, smoothly; 0 means not at all."""
        return self.attn_logit_softcapping or 0.0


def gemma_norm(config: Any, width: int) -> nn.RMSNorm:
    """A norm that is multiplied with 1 + weight."""
    return nn.RMSNorm(width, config.rms_norm_eps, offset=1.0)


class Gemma2DecoderLayer(LlamaDecoderLayer):
    """Attention and MLP, each between two norms and added to the residual stream."""

    def __init__(self, config: LlamaConfig, layer: int):
        self.self_attn = self.attention_class(config, layer)
        self.mlp = self.mlp_class(config)
        self.input_layernorm = gemma_norm(config, config.hidden_size)
        self.post_attention_layernorm = gemma_norm(config, config.hidden_size)
        self.pre_feedforward_layernorm = gemma_norm(config, config.hidden_size)
        self.post_feedforward_layernorm = gemma_norm(config, config.hidden_size)

    def forward(
        self,
        x: Tensor,
        rows: nn.Sequences,
        turn: Turn,
        cache: nn.KeyValueCache | None = None,
        layer: int = 0,
    ) -> tuple[Tensor]:
        """The residual stream x (N, C) to the same; the next norm makes the first add."""
        h, x = self.input_layernorm.beside(x)
        y = self.post_attention_layernorm(self.self_attn(h, None, rows, turn, cache, layer))
        h, x = self.pre_feedforward_layernorm(y, x)
        return (functional.add(x, self.post_feedforward_layernorm(self.mlp(h, None))),)


class Gemma2PreTrainedModel(LlamaPreTrainedModel):
    """What Gemma 2's models share."""

    config_class = Gemma2Config

    def bare(self, config: Any) -> LlamaModel:
        """The model that the family's heads stand on."""
        return Gemma2Model(config, seed=None)


class Gemma2Model(Gemma2PreTrainedModel, LlamaModel):
    """A Gemma 2 without a head; see `LlamaModel`."""

    layer_class = Gemma2DecoderLayer

    def build(self, config: Any) -> None:
        super().build(config)
        self.norm = gemma_norm(config, config.hidden_size)

    def embed(self, ids: Array) -> Tensor:
        """The vectors (N, C) of token ids (N,), times the root of their width."""
        x = self.embed_tokens(ids)
        factor = x.dtype.type(self.config.hidden_size**0.5)  # rounded, as Gemma was trained
        return functional.scale(x, float(factor))


class Gemma2ForCausalLM(Gemma2PreTrainedModel, LlamaForCausalLM):
    """A Gemma 2 with a language-modeling head; see `LlamaForCausalLM`."""

    @property
    def logit_softcap(self) -> float:
        """What logits are capped at, smoothly; 0 means not at all."""
        return self.config.final_logit_softcapping or 0.0  # type: ignore[attr-defined]


class Gemma2ForSequenceClassification(Gemma2PreTrainedModel, LlamaForSequenceClassification):
    """A Gemma 2 that classifies sequences; see `LlamaForSequenceClassification`."""


class Gemma2ForTokenClassification(Gemma2PreTrainedModel, LlamaForTokenClassification):
    """A Gemma 2 that classifies tokens; see `LlamaForTokenClassification`."""
