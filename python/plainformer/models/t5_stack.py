"""The stacks of T5: its position bias, its sublayers, its blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import functional, kernels, nn
from ..kernels._arrays import largest
from ..tensor import Array, Tensor
from .config import ACTIVATIONS
from .relative_bias import relative_buckets, relative_position_bias
from .seq2seq_lm import EncoderOutput

End = Callable[[nn.Linear, Tensor], Tensor]  # how the last projection is applied

# What a gated feed-forward layer may be called, and the operation that joins its two projections.
GATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gelu_tanh": lambda gate, up: functional.geglu(gate, up, "tanh"),
    "silu": functional.swiglu,
}


class T5Attention(nn.Module):
    """Attention without bias vectors and without a scale; the first one owns the position bias."""

    def __init__(self, config: Any, *, causal: bool = False, has_bias: bool = False):
        inner = config.num_heads * config.d_kv
        self.attention = nn.Attention(
            config.num_heads, scale=1.0, dropout=config.dropout_rate, causal=causal
        )
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if has_bias:
            buckets = config.relative_attention_num_buckets
            self.relative_attention_bias = nn.Embedding(buckets, config.num_heads)

    def forward(
        self,
        x: Tensor,
        end: End,
        rows: nn.Sequences,
        bias: Tensor,
        cache: nn.Seq2SeqCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Self-attention of x (N, C); with a cache each sequence continues what it has seen."""
        q, k, v = nn.linear_together(x, self.q, self.k, self.v)
        if cache is None:
            y = self.attention(q, k, v, rows, bias=bias)
        else:
            y = self.attention.cached(q, k, v, rows, cache.own, layer, bias=bias)
        return end(self.o, y)

    def cross(
        self,
        x: Tensor,
        end: End,
        rows: nn.Sequences,
        encoded: EncoderOutput,
        cache: nn.Seq2SeqCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Attention of x (N, C) to an encoder's states, whose keys a cache computes once."""
        memory = functional.alias(encoded.states)
        y = self.attention.cross(
            self.q(x),
            rows,
            lambda: nn.linear_together(memory, self.k, self.v),
            encoded.rows,
            None if cache is None else cache.cross,
            layer,
        )
        return end(self.o, y)


class T5Dense(nn.Module):
    """The feed-forward layer: wo(activation(wi x)), or wo(activation(wi_0 x) wi_1 x)."""

    def __init__(self, config: Any):
        activation = ACTIVATIONS[str(config.dense_act_fn)]
        self.gate = GATES[activation] if config.is_gated_act else None
        if self.gate is None:
            self.wi = nn.Linear(config.d_model, config.d_ff, bias=False, activation=activation)
        else:
            self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
            self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Tensor, end: End) -> Tensor:
        """x (N, C) to the same shape."""
        if self.gate is None:
            return end(self.wo, self.dropout(self.wi(x)))
        h = self.gate(*nn.linear_together(x, self.wi_0, self.wi_1))
        return end(self.wo, self.dropout(h))


class T5Sublayer(nn.Module):
    """The norm before, and the dropout after, one operation on the residual stream.

    The add is made as the operation's last projection ends, in cache.
    """

    def __init__(self, config: Any):
        self.layer_norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def connect(self, x: Tensor, operation: Callable[[Tensor, End], Tensor]) -> Tensor:
        """Add what an operation makes of the normed stream."""
        h, x = self.layer_norm.beside(x)
        return operation(h, lambda last, y: nn.add_onto(x, last, y, self.dropout))


class T5LayerSelfAttention(T5Sublayer):
    """Self-attention on the residual stream."""

    def __init__(self, config: Any, *, causal: bool, has_bias: bool):
        super().__init__(config)
        self.SelfAttention = T5Attention(config, causal=causal, has_bias=has_bias)

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        """args : those of `T5Attention.forward` after end."""
        return self.connect(x, lambda h, end: self.SelfAttention(h, end, *args))


class T5LayerCrossAttention(T5Sublayer):
    """Attention to an encoder's states on the residual stream."""

    def __init__(self, config: Any):
        super().__init__(config)
        self.EncDecAttention = T5Attention(config)

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        """args : those of `T5Attention.cross` after end."""
        return self.connect(x, lambda h, end: self.EncDecAttention.cross(h, end, *args))


class T5LayerFF(T5Sublayer):
    """Feed-forward on the residual stream."""

    def __init__(self, config: Any):
        super().__init__(config)
        self.DenseReluDense = T5Dense(config)

    def forward(self, x: Tensor) -> Tensor:
        """Each row alone."""
        return self.connect(x, self.DenseReluDense)


class T5Block(nn.Module):
    """Self-attention, in the decoder cross-attention, and feed-forward, as `layer` 0, 1 (and 2)."""

    def __init__(self, config: Any, *, is_decoder: bool, is_first: bool):
        attention = T5LayerSelfAttention(config, causal=is_decoder, has_bias=is_first)
        cross = [T5LayerCrossAttention(config)] if is_decoder else []
        self.layer: list[Any] = [attention, *cross, T5LayerFF(config)]

    def forward(
        self,
        x: Tensor,
        bias: Tensor,
        memory: Tensor | None = None,
        *,
        rows: nn.Sequences,
        sources: nn.Sequences | None = None,
        cache: nn.Seq2SeqCache | None = None,
        index: int = 0,
    ) -> tuple[Tensor]:
        """x (N, C) to the same; bias adds to the scores of self-attention; memory (M, C)."""
        x = self.layer[0](x, rows, bias, cache, index)
        if memory is not None and sources is not None:
            x = self.layer[1](x, rows, EncoderOutput(memory, sources), cache, index)
        return (self.layer[-1](x),)


class T5Stack(nn.Module):
    """Token ids (N,) to states (N, C), normed."""

    def __init__(self, config: Any, embed_tokens: nn.Embedding, *, is_decoder: bool):
        self.is_decoder = is_decoder
        self.max_distance = config.relative_attention_max_distance
        self.num_buckets = config.relative_attention_num_buckets
        self.recomputes = False
        self.embed_tokens = embed_tokens
        count = config.num_decoder_layers if is_decoder else config.num_layers
        self.block = [
            T5Block(config, is_decoder=is_decoder, is_first=i == 0) for i in range(count or 0)
        ]
        self.final_layer_norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self,
        ids: Array,
        rows: nn.Sequences,
        encoded: EncoderOutput | None = None,
        cache: nn.Seq2SeqCache | None = None,
    ) -> Tensor:
        """States of all rows; a decoder reads those of its encoder."""
        x = self.dropout(self.embed_tokens(ids))
        bias = self.position_bias(rows, None if cache is None else cache.own)
        memory, sources = (None, None) if encoded is None else (encoded.states, encoded.rows)
        options = {"rows": rows, "sources": sources}
        for i, block in enumerate(self.block):
            nn.report_state(rows, x)
            if self.recomputes and self.training:
                (x,) = nn.recompute(block, x, bias, memory, **options)
            else:
                (x,) = block(x, bias, memory, **options, cache=cache, index=i)
        x = self.dropout(self.final_layer_norm(x))
        nn.report_state(rows, x)
        return x

    def position_bias(self, rows: nn.Sequences, cache: nn.KeyValueCache | None) -> Tensor:
        """What all layers add to scores: (1, H, L, L), or (B, H, L, keys) behind a cache.

        With holes in a mask it is (B, H, L, L).
        """
        weight = self.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        if cache is None or cache.is_empty or rows.has_holes or not rows.max_length:
            return relative_position_bias(weight, rows, self._buckets)
        xp = kernels.xp(cache.lengths)
        places = cache.lengths[:, None, None] + xp.arange(rows.max_length)[:, None]  # (B, L, 1)
        return functional.bucket_bias(
            weight, self._buckets(xp.arange(largest(places) + 1) - places)
        )

    def _buckets(self, distances: Array) -> Array:
        return relative_buckets(
            distances,
            bidirectional=not self.is_decoder,
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
        )
