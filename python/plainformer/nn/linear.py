"""Linear layers in both layouts, with the activation as an epilogue of the product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import functional
from ..kinds import checked
from ..parameter import Parameter
from ..tensor import Tensor
from .empty import new_array, normal, uniform
from .module import Module


class Linear(Module):
    """y = activation(x weight^T + bias); weight is (out_features, in_features).

    Both begin as in `torch.nn.Linear`: uniform within 1/sqrt(in_features), see `nn.manual_seed`.
    """

    __call__: Callable[..., Tensor]

    @checked
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        activation: str | None = None,
        generator: np.random.Generator | None = None,
    ):
        self.activation = activation
        shape = out_features, in_features
        self.weight = Parameter(uniform(shape, in_features, generator))
        self.bias = Parameter(uniform(shape[:1], in_features, generator)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) to (..., out_features)."""
        return functional.linear(x, self.weight, self.bias, activation=self.activation)


def linear_together(x: Tensor, *layers: Linear) -> list[Tensor]:
    """The outputs of several layers that read the same rows; one product where none is recorded."""
    if any(type(layer) is not Linear or layer.activation for layer in layers):
        return [layer(x) for layer in layers]  # a layer that does more than a product goes its way
    return functional.linear_together(
        x, [layer.weight for layer in layers], [layer.bias for layer in layers]
    )


class Conv1D(Module):
    """y = activation(x weight + bias); weight is (in_features, out_features).

    GPT-2's layout: its first code wrote these layers as convolutions of width 1. As there, weights
    begin as draws from N(0, 0.02) and biases at 0.
    """

    __call__: Callable[..., Tensor]

    @checked
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        activation: str | None = None,
        generator: np.random.Generator | None = None,
    ):
        self.activation = activation
        self.weight = Parameter(normal((in_features, out_features), 0.02, generator))
        self.bias = Parameter(new_array((out_features,))) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) to (..., out_features)."""
        return functional.conv1d(x, self.weight, self.bias, activation=self.activation)
