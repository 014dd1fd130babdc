"""Elementwise operations and views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..kernels._arrays import accumulator_dtype, check_choice, check_number
from ..tensor import Array, Tensor, needs_grad, record
from ._data import data_of, floats_of
from .random import take

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)


def add(a: Tensor, b: Tensor) -> Tensor:
    """y = a + b, of one shape and dtype."""
    y = kernels.add(data_of("a", a), data_of("b", b))
    if not needs_grad(a, b):
        return Tensor(y)
    return record(y, (a, b), lambda grad: (grad, grad))


def scale(x: Tensor, factor: float) -> Tensor:
    """y = factor * x, for a number that needs no gradient."""
    y = _scaled(floats_of("x", x), check_number("factor", factor, -_LARGEST, _LARGEST))
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (_scaled(grad, factor),), is_fresh=True)


def _scaled(x: Array, factor: float) -> Array:
    """factor * x, of the dtype of x: a product of a bfloat16 array and a number is float32."""
    return kernels.xp(x).asarray(x * factor, x.dtype)  # an array of a 0-d product as well


def dropout(
    x: Tensor,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    offset: int = 0,
) -> Tensor:
    """Zero each element with probability p and scale the others; x itself unless `training`.

    The mask is that of (seed, offset); without a seed, the next one of `dropout_state`.
    """
    array = data_of("x", x)
    if not training:
        return x
    if seed is None:
        seed, offset = take()
    y = kernels.dropout(array, p, seed, offset)
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (kernels.dropout_backward(grad, p, seed, offset),))


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; a view where the strides allow it."""
    data_of("x", x)
    return x.reshape(shape)


def alias(x: Tensor) -> Tensor:
    """The same array. Gradients of what uses the alias are added up before they join others of x.

    So a layer's share in the gradient of x is one term, whether the layer is recomputed or not.
    """
    array = data_of("x", x)
    if not needs_grad(x):
        return x
    return record(array, (x,), lambda grad: (grad,))


def permute(x: Tensor, axes: Sequence[int]) -> Tensor:
    """A view with its axes in another order."""
    data_of("x", x)
    return x.permute(axes)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """y = a b over the last two axes, as in NumPy: leading axes are broadcast, 1 axis is a vector.

    The product is that of `kernels.matmul`, whose errors name what does not fit.
    """
    data_of("a", a), data_of("b", b)
    return a.__matmul__(b)  # the operator itself a test looks for: between arrays it is a BLAS


def activation(x: Tensor, name: str) -> Tensor:
    """y = f(x), f one of relu, gelu (erf), gelu_tanh, silu and tanh, as `linear` fuses them."""
    check_choice("name", name, list(_ACTIVATIONS))
    forward, backward, options = _ACTIVATIONS[name]
    x_data = data_of("x", x)
    y = forward(x_data, *options)
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (backward(grad, x_data, *options),), is_fresh=True)


def relu(x: Tensor) -> Tensor:
    """y = max(x, 0)."""
    return activation(x, "relu")


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """y = x Phi(x), with the error function, or approximated with `approximate="tanh"`."""
    check_choice("approximate", approximate, ("none", "tanh"))
    return activation(x, "gelu" if approximate == "none" else "gelu_tanh")


def silu(x: Tensor) -> Tensor:
    """y = x sigmoid(x)."""
    return activation(x, "silu")


def tanh(x: Tensor) -> Tensor:
    """y = tanh(x)."""
    return activation(x, "tanh")


def softcap(x: Tensor, cap: float) -> Tensor:
    """y = cap tanh(x / cap), between -cap and cap: scores and logits as Gemma 2 bounds them.

    Computed in float32 (float64) and rounded once. Gemma team, 2024, arXiv:2408.00118.
    """
    array = floats_of("x", x)
    cap = check_number("cap", cap, _SMALLEST, _LARGEST)
    wide = capped(array.astype(accumulator_dtype(array.dtype), copy=False), cap)
    y = wide.astype(array.dtype, copy=False)
    if not needs_grad(x):
        return Tensor(y)

    def backward(grad: Array) -> tuple[Array]:
        return ((grad * cap_slopes(wide, cap)).astype(array.dtype, copy=False),)

    return record(y, (x,), backward, is_fresh=True)


def capped(x: Array, cap: float) -> Array:
    """cap tanh(x / cap)."""
    return kernels.tanh(x / x.dtype.type(cap)) * x.dtype.type(cap)


def cap_slopes(y: Array, cap: float) -> Array:
    """The derivatives of `capped` where it gave y."""
    unit = y / y.dtype.type(cap)
    return 1 - unit * unit


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """y = exp(x) / sum of exp(x) along one axis."""
    return _softmax(x, dim, kernels.softmax, kernels.softmax_backward)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """y = x - log of the sum of exp(x) along one axis."""
    return _softmax(x, dim, kernels.log_softmax, kernels.log_softmax_backward)


def _softmax(x: Tensor, dim: int, forward: Any, backward: Any) -> Tensor:
    y = forward(data_of("x", x), dim=dim)
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (backward(grad, y, dim=dim),), is_fresh=True)


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
    g, u = data_of("gate", gate), data_of("up", up)
    y = forward(g, u, *options)
    if not needs_grad(gate, up):
        return Tensor(y)
    return record(y, (gate, up), lambda grad: backward(grad, g, u, *options), is_fresh=True)
