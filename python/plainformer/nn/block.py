"""The pre-norm Transformer block, under GPT-2's names."""

from __future__ import annotations

from ..tensor import Tensor
from .attention import PackedSelfAttention
from .cache import KeyValueCache
from .feed_forward import FeedForward
from .module import Module
from .norm import LayerNorm
from .sequences import Sequences


class Block(Module):
    """Attention and feed-forward, each on the norm of the residual stream and added to it.

    The two adds are left to the norms that follow, which do them in the same pass: a block takes
    and returns a pair (x, residual) whose sum is the residual stream.
    """

    def __init__(
        self, ln_1: LayerNorm, attn: PackedSelfAttention, ln_2: LayerNorm, mlp: FeedForward
    ):
        self.ln_1, self.attn, self.ln_2, self.mlp = ln_1, attn, ln_2, mlp

    def forward(
        self,
        x: Tensor,
        residual: Tensor | None,
        rows: Sequences,
        cache: KeyValueCache | None = None,
        layer: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """x, residual (N, C); residual is None in the first block."""
        if residual is None:
            h, residual = self.ln_1(x), x
        else:
            h, residual = self.ln_1(x, residual)
        h = self.attn(h, rows, cache, layer)
        h, residual = self.ln_2(h, residual)
        return self.mlp(h), residual
