"""Layer norm and RMS norm, optionally of a sum, and vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from .. import kernels
from ..kernels._arrays import accumulator_dtype, check_number
from ..tensor import Array, Tensor, needs_grad, record, record_all
from ._data import data_of, data_or_none, floats_of, last_size
from .random import dropped, next_mask

_LARGEST = float(np.finfo(np.float32).max)


@overload
def layer_norm(
    x: Tensor,
    weight: Tensor | None = ...,
    bias: Tensor | None = ...,
    eps: float = ...,
    *,
    residual: None = ...,
    dropout_p: float = ...,
    keeps_input: Literal[False] = ...,
) -> Tensor: ...
@overload
def layer_norm(
    x: Tensor,
    weight: Tensor | None = ...,
    bias: Tensor | None = ...,
    eps: float = ...,
    *,
    residual: None = ...,
    dropout_p: float = ...,
    keeps_input: Literal[True],
) -> tuple[Tensor, Tensor]: ...
@overload
def layer_norm(
    x: Tensor,
    weight: Tensor | None = ...,
    bias: Tensor | None = ...,
    eps: float = ...,
    *,
    residual: Tensor,
    dropout_p: float = ...,
) -> tuple[Tensor, Tensor]: ...
def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    residual: Tensor | None = None,
    dropout_p: float = 0.0,
    keeps_input: bool = False,
) -> Any:
    """Layer norm over the last axis: y, or with `residual` the norm of x + residual and that sum.

    One pass makes both outputs, so that a block's residual add costs no memory traffic of its own;
    backward, the gradient of the sum joins that of the norm in one pass as well. With `dropout_p`,
    the same pass begins with `dropout` of x, whose mask is the next of `dropout_state`.

    With `keeps_input` and no residual the second output is x itself: what else reads it, as the
    residual stream does, should read that one, whose gradient then joins the norm's in its pass.
    """
    x_data, added = data_of("x", x), data_or_none("residual", residual)
    w, b = data_or_none("weight", weight), data_or_none("bias", bias)
    width = last_size("x", x_data)
    drop = next_mask(dropout_p)
    if not needs_grad(x, weight, bias, residual):
        y = kernels.layer_norm(x_data, width, w, b, eps, residual=added, **drop)
        made = [Tensor(y)] if residual is None else list(map(Tensor, y))
        return _outputs(made, x, residual, keeps_input)
    *outputs, mean, rstd = kernels.layer_norm(
        x_data, width, w, b, eps, residual=added, return_stats=True, **drop
    )
    normed = outputs[-1] if residual is not None else x_data
    if residual is None and keeps_input and x.requires_grad:
        outputs.append(x_data)

    def backward(grad: Array | None, grad_sum: Array | None = None) -> Sequence[Any]:
        if grad is None:  # only the sum was used
            return dropped(grad_sum, drop), None, None, grad_sum
        dx, dweight, dbias, *rest = kernels.layer_norm_backward(
            grad, normed, w, mean, rstd, bias=b, grad_residual=grad_sum, **drop
        )
        return dx, dweight, dbias, rest[0] if drop else dx

    tensors = record_all(outputs, (x, weight, bias, residual), backward, is_fresh=residual is None)
    return _outputs(tensors, x, residual, keeps_input)


@overload
def rms_norm(
    x: Tensor,
    weight: Tensor | None = ...,
    eps: float | None = ...,
    *,
    residual: None = ...,
    dropout_p: float = ...,
    keeps_input: Literal[False] = ...,
    offset: float = ...,
) -> Tensor: ...
@overload
def rms_norm(
    x: Tensor,
    weight: Tensor | None = ...,
    eps: float | None = ...,
    *,
    residual: None = ...,
    dropout_p: float = ...,
    keeps_input: Literal[True],
    offset: float = ...,
) -> tuple[Tensor, Tensor]: ...
@overload
def rms_norm(
    x: Tensor,
    weight: Tensor | None = ...,
    eps: float | None = ...,
    *,
    residual: Tensor,
    dropout_p: float = ...,
    offset: float = ...,
) -> tuple[Tensor, Tensor]: ...
def rms_norm(
    x: Tensor,
    weight: Tensor | None = None,
    eps: float | None = None,
    *,
    residual: Tensor | None = None,
    dropout_p: float = 0.0,
    keeps_input: bool = False,
    offset: float = 0.0,
) -> Any:
    """RMS norm over the last axis: y, or with `residual` the norm of x + residual and that sum.

    `dropout_p` and `keeps_input` are those of `layer_norm`. With an `offset` the norm is multiplied
    with offset + weight, as in Gemma, whose weights begin at 0; a bfloat16 sum is not rounded.
    """
    x_data, added = data_of("x", x), data_or_none("residual", residual)
    w, width = _shifted(data_or_none("weight", weight), offset), last_size("x", x_data)
    drop = next_mask(dropout_p)
    if not needs_grad(x, weight, residual):
        y = kernels.rms_norm(x_data, width, w, eps, residual=added, **drop)
        made = [Tensor(y)] if residual is None else list(map(Tensor, y))
        return _outputs(made, x, residual, keeps_input)
    *outputs, rstd = kernels.rms_norm(
        x_data, width, w, eps, residual=added, return_stats=True, **drop
    )
    normed = outputs[-1] if residual is not None else x_data
    if residual is None and keeps_input and x.requires_grad:
        outputs.append(x_data)

    def backward(grad: Array | None, grad_sum: Array | None = None) -> Sequence[Any]:
        if grad is None:  # only the sum was used
            return dropped(grad_sum, drop), None, grad_sum
        dx, dweight, *rest = kernels.rms_norm_backward(
            grad, normed, w, rstd, grad_residual=grad_sum, **drop
        )
        if offset and dweight is not None:
            dweight = dweight.astype(weight.dtype, copy=False)  # type: ignore[union-attr]
        return dx, dweight, rest[0] if drop else dx

    tensors = record_all(outputs, (x, weight, residual), backward, is_fresh=residual is None)
    return _outputs(tensors, x, residual, keeps_input)


def _shifted(weight: Array | None, offset: float) -> Array | None:
    """offset + weight, in float32 for bfloat16, which kernels take beside it."""
    offset = check_number("offset", offset, -_LARGEST, _LARGEST)
    if not offset or weight is None:
        return weight
    wide = weight.astype(accumulator_dtype(weight.dtype), copy=False)
    return wide + wide.dtype.type(offset)


def _outputs(
    tensors: Sequence[Tensor], x: Tensor, residual: Tensor | None, keeps_input: bool
) -> Any:
    """y alone, or two of them, the second x itself where nothing was made of it."""
    if len(tensors) == 1 and keeps_input and residual is None:
        return tensors[0], x
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def normalize(x: Tensor, eps: float = 1e-12) -> Tensor:
    """Vectors of length 1 along the last axis: y = x / max(|x|, eps)."""
    check_number("eps", eps, 0.0)
    wide = floats_of("x", x).astype(accumulator_dtype(x.dtype), copy=False)
    xp = kernels.xp(wide)
    with np.errstate(all="ignore"):  # as the kernels: what is infinite becomes NaN in silence
        length = xp.sqrt(xp.square(wide).sum(axis=-1, keepdims=True))
        divisor = xp.maximum(length, length.dtype.type(eps))
        unit = wide / divisor
    y = unit.astype(x.dtype, copy=False)
    if not needs_grad(x):
        return Tensor(y)

    def backward(grad: Array) -> Sequence[Any]:
        along = (grad * unit).sum(axis=-1, keepdims=True) * (length > eps)
        return (((grad - unit * along) / divisor).astype(x.dtype),)

    return record(y, (x,), backward)
