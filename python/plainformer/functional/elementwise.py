"""Elementwise operations and views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Array, Tensor, needs_grad, record


def add(a: Tensor, b: Tensor) -> Tensor:
    """y = a + b, of one shape and dtype."""
    y = kernels.add(a.data, b.data)
    if not needs_grad(a, b):
        return Tensor(y)
    return record(y, (a, b), lambda grad: (grad, grad))


def scale(x: Tensor, factor: float) -> Tensor:
    """y = factor * x, for a number that needs no gradient."""
    y = _scaled(x.data, factor)
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (_scaled(grad, factor),), is_fresh=True)


def _scaled(x: Array, factor: float) -> Array:
    """factor * x, of the dtype of x: a product of a bfloat16 array and a number is float32."""
    return np.asarray(x * factor, x.dtype)  # an array of a 0-d product as well


def dropout(x: Tensor, p: float, seed: int, offset: int) -> Tensor:
    """Zero each element with probability p and scale the others; see `nn.random` for the seed."""
    y = kernels.dropout(x.data, p, seed, offset)
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (kernels.dropout_backward(grad, p, seed, offset),))


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; a view where the strides allow it."""
    y = x.data.reshape(shape)
    if not needs_grad(x):
        return Tensor(y)
    before = x.shape
    return record(y, (x,), lambda grad: (grad.reshape(before),))


def alias(x: Tensor) -> Tensor:
    """The same array. Gradients of what uses the alias are added up before they join others of x.

    So a layer's share in the gradient of x is one term, whether the layer is recomputed or not.
    """
    if not needs_grad(x):
        return x
    return record(x.data, (x,), lambda grad: (grad,))


def permute(x: Tensor, axes: Sequence[int]) -> Tensor:
    """A view with its axes in another order."""
    y = x.data.transpose(axes)
    if not needs_grad(x):
        return Tensor(y)
    back = np.argsort(axes)
    return record(y, (x,), lambda grad: (np.ascontiguousarray(grad.transpose(back)),))


def activation(x: Tensor, name: str) -> Tensor:
    """y = f(x), f one of relu, gelu (erf), gelu_tanh, silu and tanh, as `linear` fuses them."""
    forward, backward, options = _ACTIVATIONS[name]
    x_data = x.data
    y = forward(x_data, *options)
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (backward(grad, x_data, *options),), is_fresh=True)


_ACTIVATIONS: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "relu": (kernels.relu, kernels.relu_backward, ()),
    "gelu": (kernels.gelu, kernels.gelu_backward, ()),
    "gelu_tanh": (kernels.gelu, kernels.gelu_backward, ("tanh",)),
    "silu": (kernels.silu, kernels.silu_backward, ()),
    "tanh": (kernels.tanh, kernels.tanh_backward, ()),
}


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """y = silu(gate) up."""
    return _gated(gate, up, kernels.swiglu, kernels.swiglu_backward)


def geglu(gate: Tensor, up: Tensor, approximate: str = "none") -> Tensor:
    """y = gelu(gate) up."""
    return _gated(gate, up, kernels.geglu, kernels.geglu_backward, approximate)


def _gated(gate: Tensor, up: Tensor, forward: Any, backward: Any, *options: Any) -> Tensor:
    g, u = gate.data, up.data
    y = forward(g, u, *options)
    if not needs_grad(gate, up):
        return Tensor(y)
    return record(y, (gate, up), lambda grad: backward(grad, g, u, *options), is_fresh=True)
