"""Layer norm and RMS norm with learned parameters."""

from __future__ import annotations

from typing import Any

from .. import functional
from ..kinds import checked
from ..parameter import Parameter
from ..tensor import Tensor
from .empty import new_array
from .module import Module


class LayerNorm(Module):
    """Layer norm over the last axis, optionally of a sum, which is then returned as well."""

    @checked
    def __init__(self, width: int, eps: float = 1e-5, bias: bool = True):
        self.eps = eps
        self.weight = Parameter(new_array((width,), 1.0))
        self.bias = Parameter(new_array((width,))) if bias else None

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Any:
        """y, or (y, x + residual) with a residual."""
        return functional.layer_norm(x, self.weight, self.bias, self.eps, residual=residual)


class RMSNorm(Module):
    """RMS norm over the last axis, optionally of a sum, which is then returned as well."""

    @checked
    def __init__(self, width: int, eps: float = 1e-6):
        self.eps = eps
        self.weight = Parameter(new_array((width,), 1.0))

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Any:
        """y, or (y, x + residual) with a residual."""
        return functional.rms_norm(x, self.weight, self.eps, residual=residual)
