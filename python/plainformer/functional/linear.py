"""Linear layers in both layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import kernels
from ..tensor import Array, Tensor, needs_grad, record
from ._data import data_of


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str | None = None
) -> Tensor:
    """y = activation(x weight^T + bias); weight is (out, in)."""
    return _linear(x, weight, bias, activation, is_in_out=False)


def conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str | None = None
) -> Tensor:
    """y = activation(x weight + bias); weight is (in, out), as GPT-2 stores it, read in place."""
    return _linear(x, weight, bias, activation, is_in_out=True)


def _linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, *, is_in_out: bool
) -> Tensor:
    x_data, w, b = x.data, weight.data.T if is_in_out else weight.data, data_of(bias)
    if not needs_grad(x, weight, bias):
        return Tensor(kernels.linear(x_data, w, b, activation=activation))
    needs = (x.requires_grad, weight.requires_grad, bias is not None and bias.requires_grad)
    if activation is None:
        y, z = kernels.linear(x_data, w, b), None
    else:  # the backward starts from the input of the activation
        y, z = kernels.linear(x_data, w, b, activation=activation, return_preactivation=True)

    def backward(grad: Array) -> Sequence[Any]:
        dx, dw, db = kernels.linear_backward(
            grad, x_data, w, b, z, activation=activation, needs=needs
        )
        return dx, dw.T if is_in_out and dw is not None else dw, db

    return record(y, (x, weight, bias), backward, is_fresh=True)
