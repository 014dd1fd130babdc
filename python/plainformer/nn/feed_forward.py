"""The feed-forward layer of a block, under GPT-2's names."""

from __future__ import annotations

from ..kinds import checked
from ..tensor import Tensor
from .linear import Conv1D
from .module import Module
from .random import Dropout


class FeedForward(Module):
    """y = dropout(activation(x c_fc) c_proj), applied to each position alone."""

    @checked
    def __init__(
        self, width: int, inner: int, activation: str, *, bias: bool = True, dropout: float = 0.0
    ):
        self.c_fc = Conv1D(width, inner, bias, activation=activation)
        self.c_proj = Conv1D(inner, width, bias)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., C) to the same shape."""
        return self.dropout(self.c_proj(self.c_fc(x)))
