"""Dropout as a module; `functional.random` says where its randomness comes from."""

from __future__ import annotations

from collections.abc import Callable

from .. import functional
from ..options import SHARE
from ..tensor import Tensor
from .module import Module


class Dropout(Module):
    """Zero elements with probability p in training; in eval mode the identity."""

    __call__: Callable[..., Tensor]

    p: float

    def __init__(self, p: float):
        self.set_probability(p)

    def set_probability(self, p: float) -> None:
        """Zero this share of elements from now on."""
        self.p = float(SHARE.check("p", p))

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape; takes one offset of the dropout state."""
        if not self.training or self.p == 0:
            return x
        return functional.dropout(x, self.p)
