"""Picking, placing and averaging rows: embeddings, padding, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Array, Tensor, needs_grad, record


def embedding(input_ids: Array, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """y[...] = weight[input_ids[...]]; as in torch, row `padding_idx` gets no gradient."""
    y = kernels.embedding(input_ids, weight.data)
    if not needs_grad(weight):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        if padding_idx is not None:
            grad = _zeroed(grad, input_ids == padding_idx)
        total = weight.sum_in_place  # a tied head's gradient: add our few rows to it
        if total is not None:
            kernels.embedding_backward(grad, input_ids, len(total), out=total, accumulate=True)
            return (None,)
        return (kernels.embedding_backward(grad, input_ids, weight.shape[0]),)

    return record(y, (weight,), backward, is_fresh=True)


def _zeroed(x: Array, where: Array) -> Array:
    """x (..., C) with zeros in the vectors where the mask (...) is true."""
    return np.where(where[..., None], x.dtype.type(0), x) if where.any() else x


def take_rows(x: Tensor, index: Array) -> Tensor:
    """y[i] = x[index[i]] for x (N, C); a row taken twice gets the sum of both gradients."""
    y = kernels.embedding(index, x.data)
    if not needs_grad(x):
        return Tensor(y)
    count = len(x)

    def backward(grad: Array) -> Sequence[Any]:
        return (kernels.embedding_backward(grad, index, count),)

    return record(y, (x,), backward, is_fresh=True)


def put_rows(x: Tensor, index: Array, count: int) -> Tensor:
    """y (count, ...) with y[index[i]] = x[i], and 0 in the other rows; index has no repetition."""
    y = np.zeros((count, *x.shape[1:]), x.dtype)
    y[index] = x.data
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (grad[index],), is_fresh=True)


def columns(x: Tensor, start: int, stop: int) -> Tensor:
    """A view of columns [start, stop) of x (..., C)."""
    y = x.data[..., start:stop]
    if not needs_grad(x):
        return Tensor(y)
    shape = x.shape

    def backward(grad: Array) -> Sequence[Any]:
        dx = np.zeros(shape, grad.dtype)
        dx[..., start:stop] = grad
        return (dx,)

    return record(y, (x,), backward, is_fresh=True)


def concatenate(xs: Sequence[Tensor]) -> Tensor:
    """Join Tensors (..., C_i) along the last axis."""
    y = np.concatenate([x.data for x in xs], axis=-1)
    if not needs_grad(*xs):
        return Tensor(y)
    ends = np.cumsum([x.shape[-1] for x in xs])[:-1]
    return record(y, xs, lambda grad: np.split(grad, ends, axis=-1))


def mean_of_sequences(x: Tensor, cu_seqlens: Array) -> Tensor:
    """The mean of each sequence's rows: x (N, C) to (S, C); no sequence may be empty."""
    lengths = np.diff(cu_seqlens)[:, None].astype(np.float32)
    wide = x.data.astype(np.result_type(x.dtype, np.float32), copy=False)
    sums = np.add.reduceat(wide, cu_seqlens[:-1].astype(np.int64), axis=0)
    y = (sums / lengths.astype(sums.dtype)).astype(x.dtype)
    if not needs_grad(x):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        share = (grad / lengths.astype(wide.dtype)).astype(grad.dtype)
        return (np.repeat(share, np.diff(cu_seqlens), axis=0),)

    return record(y, (x,), backward, is_fresh=True)
