"""Layers of one operation: parameters, how they begin, and a call of `plainformer.functional`.

All begin as in torch, from random numbers that `nn.manual_seed` and `generator=` choose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional
from ..errors import ConfigError
from ..kinds import checked
from ..options import SHARE
from ..parameter import Parameter
from ..tensor import Array, Tensor
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

    def onto(self, residual: Tensor, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        """residual + dropout(self(x)), in one pass."""
        return _onto(functional.linear, self, residual, x, dropout)


def linear_together(x: Tensor, *layers: Linear) -> list[Tensor]:
    """The outputs of several layers that read the same rows; one product where none is recorded."""
    if any(type(layer) is not Linear or layer.activation for layer in layers):
        return [layer(x) for layer in layers]  # a layer that does more than a product goes its way
    return functional.linear_together(
        x, [layer.weight for layer in layers], [layer.bias for layer in layers]
    )


def add_onto(
    residual: Tensor, layer: Callable[[Tensor], Tensor], x: Tensor, dropout: Dropout | None = None
) -> Tensor:
    """residual + dropout(layer(x)): one pass where the layer is a product and no more."""
    if type(layer) in (Linear, Conv1D):
        return layer.onto(residual, x, dropout)  # type: ignore[attr-defined]
    y = layer(x)
    return functional.add(y if dropout is None else dropout(y), residual)


def _onto(product: Any, layer: Any, residual: Tensor, x: Tensor, dropout: Dropout | None) -> Tensor:
    rate = 0.0 if dropout is None else dropout.rate
    return product(
        x,
        layer.weight,
        layer.bias,
        activation=layer.activation,
        residual=residual,
        dropout_p=rate,
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

    def onto(self, residual: Tensor, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        """residual + dropout(self(x)), in one pass."""
        return _onto(functional.conv1d, self, residual, x, dropout)


class Embedding(Module):
    """y[...] = weight[ids[...]]; weight is (num_embeddings, embedding_dim).

    As in torch, vectors begin as draws from N(0, 1), see `nn.manual_seed`; that of `padding_idx`
    begins at 0 and gets no gradient from here.
    """

    __call__: Callable[..., Tensor]

    @checked
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        generator: np.random.Generator | None = None,
    ):
        self.padding_idx = padding_idx
        weight = normal((num_embeddings, embedding_dim), generator=generator)
        if padding_idx is not None:
            if not 0 <= padding_idx < num_embeddings:
                raise ConfigError(
                    f"padding_idx: got {padding_idx}, expected 0 to {num_embeddings - 1}"
                )
            if weight.flags.writeable:  # of an empty one every number is 0
                weight[padding_idx] = 0
        self.weight = Parameter(weight)

    def forward(self, input_ids: Array) -> Tensor:
        """Ids (...) to vectors (..., embedding_dim)."""
        return functional.embedding(input_ids, self.weight, self.padding_idx)


class LayerNorm(Module):
    """Layer norm over the last axis, optionally of a sum, which is then returned as well."""

    @checked
    def __init__(self, width: int, eps: float = 1e-5, bias: bool = True):
        self.eps = eps
        self.weight = Parameter(new_array((width,), 1.0))
        self.bias = Parameter(new_array((width,))) if bias else None

    def forward(
        self, x: Tensor, residual: Tensor | None = None, dropout: Dropout | None = None
    ) -> Any:
        """y, or (y, dropout(x) + residual) with a residual, all in one pass."""
        p = 0.0 if dropout is None else dropout.rate
        return functional.layer_norm(
            x, self.weight, self.bias, self.eps, residual=residual, dropout_p=p
        )

    def beside(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y, and x for what else reads it: its gradient joins the norm's in one pass."""
        return functional.layer_norm(x, self.weight, self.bias, self.eps, keeps_input=True)


class RMSNorm(Module):
    """RMS norm over the last axis, optionally of a sum, which is then returned as well.

    offset : what is added to `weight`, which begins where the sum is 1; Gemma's is 1
    """

    @checked
    def __init__(self, width: int, eps: float = 1e-6, *, offset: float = 0.0):
        self.eps, self.offset = eps, offset
        self.weight = Parameter(new_array((width,), 1.0 - offset))

    def forward(
        self, x: Tensor, residual: Tensor | None = None, dropout: Dropout | None = None
    ) -> Any:
        """y, or (y, dropout(x) + residual) with a residual, all in one pass."""
        p = 0.0 if dropout is None else dropout.rate
        return functional.rms_norm(
            x, self.weight, self.eps, residual=residual, dropout_p=p, offset=self.offset
        )

    def beside(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y, and x for what else reads it: its gradient joins the norm's in one pass."""
        return functional.rms_norm(x, self.weight, self.eps, keeps_input=True, offset=self.offset)


class Dropout(Module):
    """Zero elements with probability p in training; in eval mode the identity."""

    __call__: Callable[..., Tensor]

    p: float

    def __init__(self, p: float = 0.5):
        self.set_probability(p)

    def set_probability(self, p: float) -> None:
        """Zero this share of elements from now on."""
        self.p = float(SHARE.check("p", p))

    @property
    def rate(self) -> float:
        """The share that is zeroed now: p in training, 0 in eval mode."""
        return self.p if self.training else 0.0

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape; takes one offset of the dropout state."""
        return functional.dropout(x, self.rate) if self.rate else x


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
