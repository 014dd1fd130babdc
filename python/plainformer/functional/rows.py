"""Picking, placing and averaging rows: embeddings, padding, pooling."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import ShapeError, shown
from ..kernels._arrays import (
    IDS,
    accumulator_dtype,
    check_array,
    check_ids,
    check_same_dtype,
    check_shape,
    check_size,
    defers,
)
from ..quantized import QuantizedParameter
from ..tensor import Array, Tensor, needs_grad, record
from ._data import all_data, beside, data_of, floats_of, ids_beside, last_size


def embedding(input_ids: Array, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """y[...] = weight[input_ids[...]]; as in torch, row `padding_idx` gets no gradient."""
    table = data_of("weight", weight)
    input_ids = ids_beside("input_ids", input_ids, table, len(table) if table.ndim else 0)
    if isinstance(weight, QuantizedParameter):
        check_ids("input_ids", input_ids, len(table))
        return Tensor(weight.rows(input_ids))
    y = kernels.embedding(input_ids, weight.data)
    if padding_idx is not None:
        check_size("padding_idx", padding_idx, 0, len(weight) - 1)
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
    return kernels.xp(x).where(where[..., None], x.dtype.type(0), x) if where.any() else x


def take_rows(x: Tensor, index: Array) -> Tensor:
    """y[i] = x[index[i]] for x (N, C); a row taken twice gets the sum of both gradients."""
    array = data_of("x", x)
    index = ids_beside("index", index, array, len(array) if array.ndim else 0)
    y = kernels.embedding(index, x.data)
    if not needs_grad(x):
        return Tensor(y)
    count = len(x)

    def backward(grad: Array) -> Sequence[Any]:
        return (kernels.embedding_backward(grad, index, count),)

    return record(y, (x,), backward, is_fresh=True)


def put_rows(x: Tensor, index: Array, count: int) -> Tensor:
    """y (count, ...) with y[index[i]] = x[i], and 0 in the other rows; index has no repetition."""
    array = data_of("x", x)
    count = check_size("count", count, 0, sys.maxsize // max(1, array.nbytes))
    check_ids("index", index, count)
    check_shape(array.shape[:1], index=index)
    index = beside("index", index, array)
    y = kernels.xp(array).zeros((count, *x.shape[1:]), x.dtype)
    y[index] = array
    if not needs_grad(x):
        return Tensor(y)
    return record(y, (x,), lambda grad: (grad[index],), is_fresh=True)


def columns(x: Tensor, start: int, stop: int) -> Tensor:
    """A view of columns [start, stop) of x (..., C)."""
    array = data_of("x", x)
    stop = check_size("stop", stop, 0, last_size("x", array))
    start = check_size("start", start, 0, stop)
    y = array[..., start:stop]
    if not needs_grad(x):
        return Tensor(y)
    shape = x.shape

    def backward(grad: Array) -> Sequence[Any]:
        dx = kernels.xp(grad).zeros(shape, grad.dtype)
        dx[..., start:stop] = grad
        return (dx,)

    return record(y, (x,), backward, is_fresh=True)


def concatenate(xs: Sequence[Tensor]) -> Tensor:
    """Join Tensors (..., C_i) along the last axis."""
    first, *others = arrays = all_data("xs", xs)
    last_size("xs[0]", first)
    for i, array in enumerate(others, 1):
        check_same_dtype(**{"xs[0]": first, f"xs[{i}]": array})
        check_shape((*first.shape[:-1], *array.shape[-1:]), **{f"xs[{i}]": array})
    xp = kernels.xp(arrays[0])
    y = xp.concatenate(arrays, axis=-1)
    if not needs_grad(*xs):
        return Tensor(y)
    ends = [*itertools.accumulate(x.shape[-1] for x in xs)][:-1]
    return record(y, xs, lambda grad: xp.split(grad, ends, axis=-1))


def _check_borders(cu_seqlens: Array, rows: int) -> None:
    """Raise unless these are 0, then ends of sequences of at least one row, the last `rows`."""
    check_array("cu_seqlens", cu_seqlens, IDS)
    ends = cu_seqlens
    if (
        ends.ndim != 1
        or not len(ends)
        or ends[0]
        or ends[-1] != rows
        or (ends[1:] <= ends[:-1]).any()
    ):
        raise ShapeError(
            f"cu_seqlens: got {shown(ends.tolist())}, expected 0, then the end of each sequence, "
            f"none empty, the last at {rows}, the rows of x"
        )


def _sizes(borders: Array) -> list[int]:
    """The rows of each sequence."""
    return (borders[1:] - borders[:-1]).tolist()


def _owners(borders: Array) -> Array:
    """The sequence of each row."""
    xp = kernels.xp(borders)
    return xp.repeat(xp.arange(len(borders) - 1), _sizes(borders))


def mean_of_sequences(x: Tensor, cu_seqlens: Array) -> Tensor:
    """The mean of each sequence's rows: x (N, C) to (S, C); no sequence may be empty."""
    array = floats_of("x", x)
    if array.ndim != 2:
        raise ShapeError(f"x: got shape {array.shape}, expected (N, C)")
    _check_borders(cu_seqlens, len(array))
    xp = kernels.xp(array)
    borders, cu_seqlens = cu_seqlens, beside("cu_seqlens", cu_seqlens, array)
    lengths = cu_seqlens[1:] - cu_seqlens[:-1]
    wide = array.astype(accumulator_dtype(x.dtype), copy=False)
    if defers(array):  # no array library of a device adds up rows in a fixed order
        owners = beside("owners", _owners(borders), array)
        sums = kernels.embedding_backward(wide, owners, len(lengths))
    else:
        sums = xp.add.reduceat(wide, cu_seqlens[:-1].astype(np.int64), axis=0)
    y = (sums / lengths[:, None].astype(sums.dtype)).astype(x.dtype)
    if not needs_grad(x):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        share = (grad / lengths[:, None].astype(wide.dtype)).astype(grad.dtype)
        return (xp.repeat(share, _sizes(borders), axis=0),)

    return record(y, (x,), backward, is_fresh=True)
