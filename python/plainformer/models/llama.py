"""Llama: a pre-norm decoder with rotary positions, RMS norm, SwiGLU and shared key heads.

References
----------
Touvron et al., "Llama 2", 2023, arXiv:2307.09288; Ainslie et al., "GQA", 2023, arXiv:2305.13245.
Parameter names and `config.json`: transformers' `LlamaForCausalLM`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import functional, nn
from ..errors import ConfigError, shown
from ..kinds import check_kind
from ..nn.rotary import Rotary, Turn, check_rope
from ..tensor import Array, Tensor
from .causal_lm import CausalLM
from .classifiers import TokenClassifier
from .config import PretrainedConfig, check_activation, check_divides
from .decoder_classifiers import LastTokenClassifier
from .encoder import BareEncoder, Rows
from .inputs import check_positions
from .pretrained import PreTrainedModel

__all__ = [
    "LlamaConfig", "LlamaForCausalLM", "LlamaForSequenceClassification",
    "LlamaForTokenClassification", "LlamaModel",
]  # fmt: skip


@dataclass(repr=False)
class LlamaConfig(PretrainedConfig):
    """Sizes and options of a Llama, with Llama 7B's as defaults."""

    model_type = "llama"
    inert = frozenset({"is_llama_config", "max_sequence_length"})
    fixed: ClassVar[dict[str, Any]] = {"pretraining_tp": 1, "rope_interleaved": False}
    dropout_fields = ("attention_dropout", "classifier_dropout")
    layer_fields = ("num_hidden_layers",)
    not_sizes: ClassVar[tuple[str, ...]] = ("head_dim",)

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None  # None means num_attention_heads
    head_dim: int | None = None  # None means hidden_size / num_attention_heads
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    rope_parameters: dict[str, Any] | None = None
    attention_bias: bool = False
    attention_dropout: float = 0.0
    classifier_dropout: float | None = None  # of a token classifier; None means 0.1
    mlp_bias: bool = False
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        if self.head_dim is None:
            check_divides(self, "num_attention_heads", "hidden_size")
            self.head_dim = self.hidden_size // self.num_attention_heads
        check_divides(self, "num_key_value_heads", "num_attention_heads")
        if self.head_dim < 2 or self.head_dim % 2:
            raise ConfigError(f"head_dim: got {self.head_dim}, expected an even number above 0")
        gate = check_activation("hidden_act", self.hidden_act)
        if gate not in ("silu", "gelu", "gelu_tanh"):
            raise ConfigError(f"hidden_act: got {shown(self.hidden_act)}, expected silu or a gelu")
        self.rope_parameters = self._check_rope(self.rope_parameters, self.max_position_embeddings)

    def _check_rope(self, given: dict[str, Any] | None, length: int) -> dict[str, Any]:
        """`rope_parameters` in full."""
        return check_rope(given, length, theta=10000.0)

    @classmethod
    def _canonical(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Version 4 keeps rope_theta and rope_scaling apart."""
        values = dict(values)
        theta, scaling = values.pop("rope_theta", None), values.pop("rope_scaling", None)
        given = values.get("rope_parameters")
        check_kind("rope_theta", theta, float | None)
        check_kind("rope_scaling", scaling, dict[str, Any] | None)
        rope = dict(check_kind("rope_parameters", given, dict[str, Any] | None) or {})
        if scaling:
            rope = {**scaling, **rope}
        if theta is not None and rope.setdefault("rope_theta", theta) != theta:
            raise ConfigError(
                f"rope_theta: got {shown(theta)}, rope_parameters have {shown(rope['rope_theta'])}"
            )
        return super()._canonical({**values, "rope_parameters": rope or None})

    def to_dict(self) -> dict[str, Any]:
        """Version 5 words, with version 4's rope_theta and rope_scaling beside them."""
        rope = dict(self.rope_parameters or {})
        scaling = None if rope["rope_type"] == "default" else {**rope}
        if scaling:
            del scaling["rope_theta"]
        return {**super().to_dict(), "rope_theta": rope["rope_theta"], "rope_scaling": scaling}

    def head_dropout(self) -> float:
        """The dropout before a token classifier."""
        return 0.1 if self.classifier_dropout is None else self.classifier_dropout

    def window_size(self, layer: int) -> tuple[int, int]:
        """How far back and ahead a row of this layer sees; -1 means all the way."""
        return (-1, -1)

    @property
    def qkv_bias(self) -> bool:
        """Whether the projections to queries, keys and values have biases."""
        return self.attention_bias

    @property
    def attention_scale(self) -> float | None:
        """What scores are multiplied with; None means 1 / sqrt(head_dim)."""
        return None

    @property
    def attention_softcap(self) -> float:
        """What scores are capped at, smoothly; 0 means not at all."""
        return 0.0


class LlamaAttention(nn.Module):
    """Queries, keys and values with rotary positions; groups of query heads share key heads."""

    def __init__(self, config: LlamaConfig, layer: int):
        H, D = config.num_attention_heads, config.head_dim or 0
        KV = config.num_key_value_heads or H
        self.q_proj = nn.Linear(config.hidden_size, H * D, config.qkv_bias)
        self.k_proj = nn.Linear(config.hidden_size, KV * D, config.qkv_bias)
        self.v_proj = nn.Linear(config.hidden_size, KV * D, config.qkv_bias)
        self.o_proj = nn.Linear(H * D, config.hidden_size, config.attention_bias)
        self.attention = attention_of(config, layer)

    def project(self, x: Tensor) -> Sequence[Tensor]:
        """Queries (N, H D), keys and values (N, KV D) of x (N, C), before they are turned."""
        return nn.linear_together(x, self.q_proj, self.k_proj, self.v_proj)

    def forward(
        self,
        x: Tensor,
        residual: Tensor | None,
        rows: nn.Sequences,
        turn: Turn,
        cache: nn.KeyValueCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """What attention makes of x (N, C), added to the residual stream (N, C) if given."""
        q, k, v = self.project(x)
        q, k = turn(q, self.attention.num_heads), turn(k, self.attention.num_kv_heads)
        if cache is None:
            y = self.attention(q, k, v, rows)
        else:
            y = self.attention.cached(q, k, v, rows, cache, layer)
        return self.o_proj(y) if residual is None else nn.add_onto(residual, self.o_proj, y)


def attention_of(config: LlamaConfig, layer: int) -> nn.Attention:
    """What a layer does between its projections."""
    return nn.Attention(
        config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        scale=config.attention_scale,
        dropout=config.attention_dropout,
        causal=True,
        window_size=config.window_size(layer),
        softcap=config.attention_softcap,
    )


class LlamaMLP(nn.Module):
    """y = residual + (activation(x gate) * (x up)) down."""

    def __init__(self, config: LlamaConfig):
        C, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.activation = check_activation("hidden_act", config.hidden_act)
        self.gate_proj = nn.Linear(C, inner, bias)
        self.up_proj = nn.Linear(C, inner, bias)
        self.down_proj = nn.Linear(inner, C, bias)

    def project(self, x: Tensor) -> Sequence[Tensor]:
        """The gate and what it lets through (N, inner) of x (N, C)."""
        return nn.linear_together(x, self.gate_proj, self.up_proj)

    def forward(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """x (N, C) to the same shape, added to the residual stream (N, C) if given."""
        gate, up = self.project(x)
        if self.activation == "silu":
            h = functional.swiglu(gate, up)
        else:
            h = functional.geglu(gate, up, "tanh" if self.activation == "gelu_tanh" else "none")
        return self.down_proj(h) if residual is None else nn.add_onto(residual, self.down_proj, h)


class LlamaDecoderLayer(nn.Module):
    """Attention and MLP, each on the norm of the residual stream and added to it.

    The adds are made where the last projections end, in cache.
    """

    attention_class: ClassVar[type[LlamaAttention]] = LlamaAttention
    mlp_class: ClassVar[type[LlamaMLP]] = LlamaMLP

    def __init__(self, config: LlamaConfig, layer: int):
        self.self_attn = self.attention_class(config, layer)
        self.mlp = self.mlp_class(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x: Tensor,
        rows: nn.Sequences,
        turn: Turn,
        cache: nn.KeyValueCache | None = None,
        layer: int = 0,
    ) -> tuple[Tensor]:
        """The residual stream x (N, C) to the same."""
        h, x = self.input_layernorm.beside(x)
        x = self.self_attn(h, x, rows, turn, cache, layer)
        h, x = self.post_attention_layernorm.beside(x)
        return (self.mlp(h, x),)


class LlamaPreTrainedModel(PreTrainedModel):
    """What Llama's models share."""

    config_class: ClassVar[type[PretrainedConfig]] = LlamaConfig
    config: LlamaConfig
    base_prefix = "model."
    ignored_keys = ("*rotary_emb.inv_freq",)
    head_keys = ("lm_head.*", "score.*")

    def bare(self, config: Any) -> LlamaModel:
        """The model that the family's heads stand on."""
        return LlamaModel(config, seed=None)

    def hidden_rows(self, rows: Rows) -> Tensor:
        """The last hidden states (N, C), normed."""
        return self.base_model.states(rows.ids, rows.sequences, rows.positions)

    def flops_per_token(self, sequence_length: int) -> int:
        """Multiplications and additions of forward and backward a token; see `block_flops`."""
        width = self.config.num_attention_heads * (self.config.head_dim or 0)  # never None here
        return self.block_flops(self.base_model.layers, width, sequence_length)


class LlamaModel(LlamaPreTrainedModel, BareEncoder):
    """A Llama without a head.

    Parameters
    ----------
    config : LlamaConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    layer_class: ClassVar[type[LlamaDecoderLayer]] = LlamaDecoderLayer

    def build(self, config: LlamaConfig) -> None:
        self.recomputes = False
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = [self.layer_class(config, i) for i in range(config.num_hidden_layers)]
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary = self.make_rotary(config)

    def make_rotary(self, config: Any) -> Any:
        """What turns queries and keys."""
        return Rotary(config.head_dim or 0, config.rope_parameters or {})

    def embed(self, ids: Array) -> Tensor:
        """The vectors (N, C) of token ids (N,) that the layers begin with."""
        return self.embed_tokens(ids)

    def turns(self, rows: nn.Sequences, positions: Array, like: Array) -> Sequence[Turn]:
        """What turns the rows in each layer."""
        return [self.rotary.at(positions, like)] * len(self.layers)

    def states(
        self,
        ids: Array,
        rows: nn.Sequences,
        positions: Array,
        cache: nn.KeyValueCache | None = None,
    ) -> Tensor:
        """Hidden states (N, C) of token ids (N,), after the last norm."""
        check_positions(positions, self.config.max_position_embeddings)
        x = self.embed(ids)
        turns = self.turns(rows, positions, x.data)
        for i, (layer, turn) in enumerate(zip(self.layers, turns)):
            nn.report_state(rows, x)
            if self.recomputes and self.training:
                (x,) = nn.recompute(layer, x, rows=rows, turn=turn)
            else:
                (x,) = layer(x, rows, turn, cache, i)
        x = self.norm(x)
        nn.report_state(rows, x)
        return x


class LlamaForCausalLM(LlamaPreTrainedModel, CausalLM):
    """A Llama with a language-modeling head.

    Parameters
    ----------
    config : LlamaConfig
    seed : int, of the initial weights; None leaves matrices at zero, to be loaded
    """

    tied_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}

    def build(self, config: LlamaConfig) -> None:
        self.model = self.bare(config)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def head_weight(self) -> Tensor:
        """The (V, C) weight of the head."""
        tied = self.config.tie_word_embeddings
        return self.model.embed_tokens.weight if tied else self.lm_head.weight

    def flops_per_token(self, sequence_length: int) -> int:
        """As `GPT2LMHeadModel.flops_per_token`."""
        config = self.config
        looked_up = 0 if config.tie_word_embeddings else self.model.embed_tokens.weight.size
        width = config.num_attention_heads * (config.head_dim or 0)  # never None here
        attention = 12 * config.num_hidden_layers * width * sequence_length
        return 6 * (self.num_parameters() - looked_up) + attention


class LlamaForSequenceClassification(LlamaPreTrainedModel, LastTokenClassifier):
    """A Llama that classifies sequences. Parameters: see `LlamaForCausalLM`."""

    def build(self, config: LlamaConfig) -> None:
        self.model = self.bare(config)
        self.score = nn.Linear(config.hidden_size, len(config.id2label), bias=False)


class LlamaForTokenClassification(LlamaPreTrainedModel, TokenClassifier):
    """A Llama that classifies tokens. Parameters: see `LlamaForCausalLM`."""

    def build(self, config: LlamaConfig) -> None:
        self.model = self.bare(config)
        self.dropout = nn.Dropout(config.head_dropout())
        self.score = nn.Linear(config.hidden_size, len(config.id2label))

    def token_logits(self, x: Tensor) -> Tensor:
        """Logits (N, num_labels)."""
        return self.score(self.dropout(x))
