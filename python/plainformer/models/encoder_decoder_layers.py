"""The layers of Vaswani et al.'s encoder and decoder, pre- or post-norm, under BART's names.

Each sublayer f is added to the residual stream x. Post-norm: x = norm(x + f(x)), where the norm
does the add in the same pass. Pre-norm: x = x + f(norm(x)), where the add is made as the last
projection of f ends.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import functional, nn
from ..tensor import Tensor
from .config import check_activation
from .encoder_decoder_config import EncoderDecoderConfig

End = Callable[[nn.Linear, Tensor], Tensor]  # how a sublayer's last projection is applied


class MultiHeadAttention(nn.Module):
    """Attention with one projection each for queries, keys, values and the output."""

    def __init__(self, config: EncoderDecoderConfig, num_heads: int, *, causal: bool = False):
        width = config.d_model
        self.attention = nn.Attention(num_heads, dropout=config.attention_dropout, causal=causal)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self,
        x: Tensor,
        end: End,
        rows: nn.Sequences,
        cache: nn.Seq2SeqCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Self-attention of x (N, C); with a cache each sequence continues what it has seen."""
        q, k, v = nn.linear_together(x, self.q_proj, self.k_proj, self.v_proj)
        if cache is None:
            y = self.attention(q, k, v, rows)
        else:
            y = self.attention.cached(q, k, v, rows, cache.own, layer)
        return end(self.out_proj, y)

    def cross(
        self,
        x: Tensor,
        end: End,
        rows: nn.Sequences,
        memory: Tensor,
        sources: nn.Sequences,
        cache: nn.Seq2SeqCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attention of x (N, C) to an encoder's states (M, C), whose keys a cache computes once."""
        memory = functional.alias(memory)
        y = self.attention.cross(
            self.q_proj(x),
            rows,
            lambda: nn.linear_together(memory, self.k_proj, self.v_proj),
            sources,
            None if cache is None else cache.cross,
            layer,
        )
        return end(self.out_proj, y)


class ResidualLayer(nn.Module):
    """What encoder and decoder layers share: the residual adds and the feed-forward sublayer."""

    def __init__(self, config: EncoderDecoderConfig, inner: int, pre_norm: bool):
        activation = check_activation("activation_function", config.activation_function)
        self.pre_norm = pre_norm
        self.dropout = nn.Dropout(config.dropout)
        self.activation_dropout = nn.Dropout(config.activation_dropout)
        self.fc1 = nn.Linear(config.d_model, inner, activation=activation)
        self.fc2 = nn.Linear(inner, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)

    def feed_forward(self, x: Tensor, end: End) -> Tensor:
        """Each row (C) alone through the inner layer."""
        return end(self.fc2, self.activation_dropout(self.fc1(x)))

    def connect(
        self, norm: nn.LayerNorm, x: Tensor, sublayer: Callable[[Tensor, End], Tensor]
    ) -> Tensor:
        """Add one sublayer to the residual stream, with its norm."""
        if not self.pre_norm:
            return norm(sublayer(x, lambda last, y: last(y)), x, self.dropout)[0]
        h, x = norm.beside(x)
        return sublayer(h, lambda last, y: nn.add_onto(x, last, y, self.dropout))


class EncoderLayer(ResidualLayer):
    """Self-attention and feed-forward."""

    def __init__(self, config: EncoderDecoderConfig, pre_norm: bool):
        super().__init__(config, config.encoder_ffn_dim, pre_norm)
        self.self_attn = MultiHeadAttention(config, config.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, *, rows: nn.Sequences) -> tuple[Tensor]:
        """The residual stream x (N, C) to the same."""
        x = self.connect(self.self_attn_layer_norm, x, lambda h, end: self.self_attn(h, end, rows))
        return (self.connect(self.final_layer_norm, x, self.feed_forward),)


class DecoderLayer(ResidualLayer):
    """Causal self-attention, attention to the encoder's states, and feed-forward."""

    def __init__(self, config: EncoderDecoderConfig, pre_norm: bool):
        super().__init__(config, config.decoder_ffn_dim, pre_norm)
        heads = config.decoder_attention_heads
        self.self_attn = MultiHeadAttention(config, heads, causal=True)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.encoder_attn = MultiHeadAttention(config, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        *,
        rows: nn.Sequences,
        sources: nn.Sequences,
        cache: nn.Seq2SeqCache | None = None,
        layer: int = 0,
    ) -> tuple[Tensor]:
        """The residual stream x (N, C) of target rows; memory (M, C) is the encoder's states."""
        x = self.connect(
            self.self_attn_layer_norm,
            x,
            lambda h, end: self.self_attn(h, end, rows, cache, layer),
        )
        x = self.connect(
            self.encoder_attn_layer_norm,
            x,
            lambda h, end: self.encoder_attn.cross(h, end, rows, memory, sources, cache, layer),
        )
        return (self.connect(self.final_layer_norm, x, self.feed_forward),)
