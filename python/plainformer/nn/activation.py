"""Activations as modules, for `Sequential`; as functions they are in `plainformer.functional`."""

from __future__ import annotations

from collections.abc import Callable

from .. import functional
from ..kinds import checked
from ..tensor import Tensor
from .module import Module


class ReLU(Module):
    """y = max(x, 0)."""

    __call__: Callable[..., Tensor]

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape."""
        return functional.relu(x)


class GELU(Module):
    """y = x Phi(x), with the error function, or approximated with `approximate="tanh"`."""

    __call__: Callable[..., Tensor]

    @checked
    def __init__(self, approximate: str = "none"):
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape."""
        return functional.gelu(x, self.approximate)


class SiLU(Module):
    """y = x sigmoid(x)."""

    __call__: Callable[..., Tensor]

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape."""
        return functional.silu(x)


class Tanh(Module):
    """y = tanh(x)."""

    __call__: Callable[..., Tensor]

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape."""
        return functional.tanh(x)
