"""Layer norm and RMS norm, optionally of a sum, and vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Array, Tensor, needs_grad, record, record_all
from ._data import data_of


def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    residual: Tensor | None = None,
) -> Any:
    """Layer norm over the last axis: y, or with `residual` the norm of x + residual and that sum.

    One pass makes both outputs, so that a block's residual add costs no memory traffic of its own;
    backward, the gradient of the sum joins that of the norm in one pass as well.
    """
    w, b = data_of(weight), data_of(bias)
    width, added = x.shape[-1], data_of(residual)
    if not needs_grad(x, weight, bias, residual):
        y = kernels.layer_norm(x.data, width, w, b, eps, residual=added)
        return Tensor(y) if residual is None else (Tensor(y[0]), Tensor(y[1]))
    *outputs, mean, rstd = kernels.layer_norm(
        x.data, width, w, b, eps, residual=added, return_stats=True
    )
    normed = outputs[-1] if residual is not None else x.data

    def backward(grad: Array | None, grad_sum: Array | None = None) -> Sequence[Any]:
        if grad is None:  # only the sum was used
            return grad_sum, None, None, grad_sum
        dx, dweight, dbias = kernels.layer_norm_backward(
            grad, normed, w, mean, rstd, bias=b, grad_residual=grad_sum
        )
        return dx, dweight, dbias, dx

    tensors = record_all(outputs, (x, weight, bias, residual), backward)
    return tensors[0] if residual is None else tuple(tensors)


def rms_norm(
    x: Tensor,
    weight: Tensor | None = None,
    eps: float | None = None,
    *,
    residual: Tensor | None = None,
) -> Any:
    """RMS norm over the last axis: y, or with `residual` the norm of x + residual and that sum."""
    w, width, added = data_of(weight), x.shape[-1], data_of(residual)
    if not needs_grad(x, weight, residual):
        y = kernels.rms_norm(x.data, width, w, eps, residual=added)
        return Tensor(y) if residual is None else (Tensor(y[0]), Tensor(y[1]))
    *outputs, rstd = kernels.rms_norm(x.data, width, w, eps, residual=added, return_stats=True)
    normed = outputs[-1] if residual is not None else x.data

    def backward(grad: Array | None, grad_sum: Array | None = None) -> Sequence[Any]:
        if grad is None:  # only the sum was used
            return grad_sum, None, grad_sum
        dx, dweight = kernels.rms_norm_backward(grad, normed, w, rstd, grad_residual=grad_sum)
        return dx, dweight, dx

    tensors = record_all(outputs, (x, weight, residual), backward)
    return tensors[0] if residual is None else tuple(tensors)


def normalize(x: Tensor, eps: float = 1e-12) -> Tensor:
    """Vectors of length 1 along the last axis: y = x / max(|x|, eps)."""
    wide = x.data.astype(np.result_type(x.dtype, np.float32), copy=False)
    length = np.sqrt(np.sum(np.square(wide), axis=-1, keepdims=True))
    divisor = np.maximum(length, length.dtype.type(eps))
    unit = wide / divisor
    y = unit.astype(x.dtype, copy=False)
    if not needs_grad(x):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        along = np.sum(grad * unit, axis=-1, keepdims=True) * (length > eps)
        return (((grad - unit * along) / divisor).astype(x.dtype),)

    return record(y, (x,), backward)
