"""Losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import kernels
from ..tensor import Array, Tensor, needs_grad, record
from ._data import data_of


def cross_entropy(
    input: Tensor, target: Array, weight: Array | None = None, **options: Any
) -> Tensor:
    """Cross entropy of logits (N, V) with target (N,); see the kernel for the options."""
    x_data = input.data
    if not needs_grad(input):
        return Tensor(kernels.cross_entropy(x_data, target, weight, **options))
    loss, lse = kernels.cross_entropy(x_data, target, weight, **options, return_lse=True)

    def backward(grad: Array) -> Sequence[Any]:
        return (kernels.cross_entropy_backward(grad, x_data, target, lse, weight, **options),)

    return record(loss, (input,), backward)


def fused_linear_cross_entropy(
    x: Tensor, weight: Tensor, target: Array, bias: Tensor | None = None, **options: Any
) -> Tensor:
    """Cross entropy of the logits x weight^T + bias, which never exist as a whole.

    The gradients are computed in the forward, while a chunk of logits is at hand; backward only
    scales them. x is (..., C), weight (V, C), target (...); see the kernel for the options.
    """
    arrays = (x.data, weight.data, target, data_of(bias))
    if not needs_grad(x, weight, bias):
        return Tensor(kernels.fused_linear_cross_entropy(*arrays, **options))
    loss, grads = kernels.fused_linear_cross_entropy(*arrays, **options, return_grads=True)

    def backward(grad: Array) -> Sequence[Any]:
        factor = float(grad)
        if factor != 1.0:
            for array in grads:
                if array is not None:
                    array *= factor  # ours alone, and used once: scaled in place
        return grads

    return record(loss, (x, weight, bias), backward, is_fresh=True)
