"""The layers of Vaswani et al.'s encoder and decoder, pre- or post-norm, under BART's names.

Each sublayer f is added to the residual stream x. Post-norm: x = norm(x + f(x)). Pre-norm:
x = x + f(norm(x)). Either way the add is left to a norm, which does it in the same pass: layers
take and return a pair (x, residual) whose sum is the stream; residual is None after a post-norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import functional
from ..errors import ConfigError
from ..tensor import Tensor
from .attention import Attention
from .cache import Seq2SeqCache
from .linear import Linear, linear_together
from .module import Module
from .norm import LayerNorm
from .random import Dropout
from .sequences import Sequences

Stream = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class LayerOptions:
    """Sizes and options of a layer.

    width, num_heads, inner : int; inner is the width of the feed-forward layer
    activation : the kernels' word, "relu", "gelu", "gelu_tanh" or "silu"
    pre_norm : bool, norms stand before the sublayers instead of after them
    dropout, attention_dropout, activation_dropout : float, on the output of each sublayer, on the
        attention weights, and inside the feed-forward layer
    """

    width: int
    num_heads: int
    inner: int
    activation: str
    pre_norm: bool = False
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0


class MultiHeadAttention(Module):
    """Attention with one projection each for queries, keys, values and the output."""

    def __init__(self, options: LayerOptions, *, causal: bool = False):
        width, heads = options.width, options.num_heads
        if heads < 1 or width % heads:
            raise ConfigError(f"num_heads: got {heads}, expected a divisor of width {width}")
        self.attention = Attention(heads, dropout=options.attention_dropout, causal=causal)
        self.k_proj = Linear(width, width)
        self.v_proj = Linear(width, width)
        self.q_proj = Linear(width, width)
        self.out_proj = Linear(width, width)

    def forward(
        self, x: Tensor, rows: Sequences, cache: Seq2SeqCache | None = None, layer: int = 0
    ) -> Tensor:
        """Self-attention of x (N, C); with a cache each sequence continues what it has seen."""
        q, k, v = linear_together(x, self.q_proj, self.k_proj, self.v_proj)
        if cache is None:
            y = self.attention(q, k, v, rows)
        else:
            y = self.attention.cached(q, k, v, rows, cache.own, layer)
        return self.out_proj(y)

    def cross(
        self,
        x: Tensor,
        rows: Sequences,
        memory: Tensor,
        sources: Sequences,
        cache: Seq2SeqCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attention of x (N, C) to an encoder's states (M, C), whose keys a cache computes once."""
        memory = functional.alias(memory)
        y = self.attention.cross(
            self.q_proj(x),
            rows,
            lambda: linear_together(memory, self.k_proj, self.v_proj),
            sources,
            None if cache is None else cache.cross,
            layer,
        )
        return self.out_proj(y)


class ResidualLayer(Module):
    """What encoder and decoder layers share: the residual adds and the feed-forward sublayer."""

    def __init__(self, options: LayerOptions):
        self.pre_norm = options.pre_norm
        self.dropout = Dropout(options.dropout)
        self.activation_dropout = Dropout(options.activation_dropout)
        self.fc1 = Linear(options.width, options.inner, activation=options.activation)
        self.fc2 = Linear(options.inner, options.width)
        self.final_layer_norm = LayerNorm(options.width)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Each row (C) alone through the inner layer."""
        return self.fc2(self.activation_dropout(self.fc1(x)))

    def connect(
        self, norm: LayerNorm, stream: Stream, sublayer: Callable[[Tensor], Tensor]
    ) -> Stream:
        """Add one sublayer to the residual stream, with its norm."""
        x, residual = stream
        if not self.pre_norm:
            return norm(self.dropout(sublayer(x)), x)[0], None
        h, residual = (norm(x), x) if residual is None else norm(x, residual)
        return self.dropout(sublayer(h)), residual


class EncoderLayer(ResidualLayer):
    """Self-attention and feed-forward."""

    def __init__(self, options: LayerOptions):
        super().__init__(options)
        self.self_attn = MultiHeadAttention(options)
        self.self_attn_layer_norm = LayerNorm(options.width)

    def forward(self, x: Tensor, residual: Tensor | None, *, rows: Sequences) -> Stream:
        """x, residual (N, C); residual is None in the first layer and in all post-norm ones."""
        stream = (x, residual)
        stream = self.connect(self.self_attn_layer_norm, stream, lambda h: self.self_attn(h, rows))
        return self.connect(self.final_layer_norm, stream, self.feed_forward)


class DecoderLayer(ResidualLayer):
    """Causal self-attention, attention to the encoder's states, and feed-forward."""

    def __init__(self, options: LayerOptions):
        super().__init__(options)
        self.self_attn = MultiHeadAttention(options, causal=True)
        self.self_attn_layer_norm = LayerNorm(options.width)
        self.encoder_attn = MultiHeadAttention(options)
        self.encoder_attn_layer_norm = LayerNorm(options.width)

    def forward(
        self,
        x: Tensor,
        residual: Tensor | None,
        memory: Tensor,
        *,
        rows: Sequences,
        sources: Sequences,
        cache: Seq2SeqCache | None = None,
        layer: int = 0,
    ) -> Stream:
        """x, residual (N, C) of target rows; memory (M, C) is the encoder's states."""
        stream = (x, residual)
        stream = self.connect(
            self.self_attn_layer_norm, stream, lambda h: self.self_attn(h, rows, cache, layer)
        )
        stream = self.connect(
            self.encoder_attn_layer_norm,
            stream,
            lambda h: self.encoder_attn.cross(h, rows, memory, sources, cache, layer),
        )
        return self.connect(self.final_layer_norm, stream, self.feed_forward)
