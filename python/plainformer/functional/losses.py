"""Losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..errors import ConfigError, shown
from ..kernels._arrays import (
    IDS,
    accumulator_dtype,
    check_array,
    check_choice,
    check_ids,
    check_number,
    check_shape,
    float_types,
)
from ..kernels._attention import checked_softcap
from ..kernels.cross_entropy import reduce_losses
from ..kernels.gemm import flat_rows
from ..quantized import QuantizedParameter
from ..tensor import Array, Tensor, needs_grad, record
from ._data import beside, data_of, data_or_none, floats_of, ids_beside
from .elementwise import cap_slopes, capped
from .linear import check_not_recorded, linear, weight_to_read

IGNORE_INDEX = -100  # where the kernels' caller says nothing else
_HEAD_ROWS = 256  # whose logits by an int8 head, or capped, are in memory at once
_HEAD_LOGITS = 2**23  # of so many logits, in a large vocabulary
_FEWEST_ROWS = 32


def cross_entropy(
    input: Tensor, target: Array, weight: Array | None = None, **options: Any
) -> Tensor:
    """Cross entropy of logits (N, V) with target (N,); see the kernel for the options."""
    x_data = data_of("input", input)
    target = _labels_beside(target, x_data, x_data, options)
    weight = None if weight is None else beside("weight", weight, x_data)
    if not needs_grad(input):
        return Tensor(kernels.cross_entropy(x_data, target, weight, **options))
    loss, lse = kernels.cross_entropy(x_data, target, weight, **options, return_lse=True)

    def backward(grad: Array) -> Sequence[Any]:
        return (kernels.cross_entropy_backward(grad, x_data, target, lse, weight, **options),)

    return record(loss, (input,), backward)


def fused_linear_cross_entropy(
    x: Tensor,
    weight: Tensor,
    target: Array,
    bias: Tensor | None = None,
    *,
    softcap: float = 0.0,
    **options: Any,
) -> Tensor:
    """Cross entropy of the logits x weight^T + bias, which never exist as a whole.

    The gradients are computed in the forward, while a chunk of logits is at hand; backward only
    scales them. x is (..., C), weight (V, C), target (...); see the kernel for the options.
    With softcap c > 0 logits z are c tanh(z / c), as those of Gemma 2.
    """
    softcap = checked_softcap(softcap)
    x_data = data_of("x", x)
    table = data_of("weight", weight)
    target = _labels_beside(target, x_data, table.T, options)
    if isinstance(weight, QuantizedParameter):
        return _loss_in_parts(x, weight, target, bias, softcap, **options)
    b = data_or_none("bias", bias)
    if not needs_grad(x, weight, bias):
        if softcap:
            return _loss_in_parts(x, weight, target, bias, softcap, **options)
        table = weight_to_read(x_data, weight)
        return Tensor(kernels.fused_linear_cross_entropy(x_data, table, target, b, **options))
    if softcap:
        loss, grads = _capped_gradients(x_data, table, target, b, softcap, **options)
    else:
        loss, grads = kernels.fused_linear_cross_entropy(
            x_data, table, target, b, **options, return_grads=True
        )

    def backward(grad: Array) -> Sequence[Any]:
        factor = float(grad)
        if factor != 1.0:
            for array in grads:
                if array is not None:
                    array *= factor  # ours alone, and used once: scaled in place
        return grads

    return record(loss, (x, weight, bias), backward, is_fresh=True)


def _loss_in_parts(
    x: Tensor,
    weight: Tensor,
    target: Array,
    bias: Tensor | None,
    softcap: float,
    *,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    num_items: float | None = None,
) -> Tensor:
    """The loss of logits by an int8 head, or of capped ones, some rows at a time."""
    if isinstance(weight, QuantizedParameter):
        check_not_recorded(x, bias)
    counted = _counted(x.data, weight.shape[0], target, reduction, ignore_index, num_items)
    rows, labels = flat_rows(x.data), target.reshape(-1)
    losses = kernels.xp(rows).zeros(len(rows), np.float32)
    for part in _parts(len(rows), weight.shape[0]):
        if (labels[part] != ignore_index).any():
            logits = linear(Tensor(rows[part]), weight, bias).data
            losses[part] = kernels.cross_entropy(
                _capped(logits, softcap),
                labels[part],
                ignore_index=ignore_index,
                label_smoothing=label_smoothing,
                reduction="none",
            )
    return Tensor(reduce_losses(losses, np.float32(counted), reduction))


def _parts(rows: int, classes: int) -> Iterator[slice]:
    """Rows whose logits are in memory at once; cut by shapes alone."""
    step = min(_HEAD_ROWS, max(_FEWEST_ROWS, _HEAD_LOGITS // max(1, classes)))
    return (slice(start, start + step) for start in range(0, rows, step))


def _capped(logits: Array, softcap: float) -> Array:
    """Logits between -softcap and softcap, in float32 (float64); as they are without one."""
    if not softcap:
        return logits
    return capped(logits.astype(accumulator_dtype(logits.dtype), copy=False), softcap)


def _counted(
    x: Array,
    classes: int,
    target: Array,
    reduction: str,
    ignore_index: int,
    num_items: float | None,
) -> float:
    """What a summed loss is divided by, of arguments that fit."""
    check_choice("reduction", reduction, ("mean", "sum"))
    check_array("target", target, IDS)
    check_shape(x.shape[:-1], target=target)
    check_ids("target", target, classes, ignore_index=ignore_index)
    if num_items is None:
        return int((target != ignore_index).sum())
    return check_number("num_items", num_items, np.finfo(np.float32).tiny)


def _capped_gradients(
    x: Array,
    table: Array,
    target: Array,
    bias: Array | None,
    softcap: float,
    *,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    num_items: float | None = None,
) -> tuple[Array, tuple[Array, Array, Array | None]]:
    """The loss of capped logits, and its gradients for x, table and bias.

    d loss / d z = d loss / d y (1 - (y / c)^2) where y = c tanh(z / c).
    """
    counted = _counted(x, len(table), target, reduction, ignore_index, num_items)
    xp, wide = kernels.xp(x), accumulator_dtype(x.dtype)
    rows, labels = flat_rows(x), target.reshape(-1)
    options: dict[str, Any] = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
    dx = xp.zeros(rows.shape, x.dtype)
    dtable = xp.zeros(table.shape, wide)
    dbias = None if bias is None else xp.zeros(bias.shape, wide)
    losses = xp.zeros(len(rows), wide)
    share = wide.type(1 if reduction == "sum" else 1 / max(counted, np.finfo(np.float32).tiny))
    for part in _parts(len(rows), len(table)):
        z = kernels.linear(rows[part], table, bias)
        y = _capped(z, softcap)
        own = labels[part]
        losses[part], lse = kernels.cross_entropy(
            y, own, reduction="none", return_lse=True, **options
        )
        grad = xp.full(len(own), share, wide)
        dy = kernels.cross_entropy_backward(grad, y, own, lse, reduction="none", **options)
        dz = (dy * cap_slopes(y, softcap)).astype(x.dtype, copy=False)
        dx[part] = kernels.matmul(dz, table)
        dtable += kernels.matmul(dz, rows[part], transpose_a=True)
        if dbias is not None:
            dbias += dz.sum(axis=0, dtype=wide)
    loss = reduce_losses(losses, wide.type(counted), reduction)
    narrow = None if dbias is None else dbias.astype(x.dtype, copy=False)
    return loss, (dx.reshape(x.shape), dtable.astype(x.dtype, copy=False), narrow)


def _labels_beside(target: Array, x: Array, logits: Array, options: dict[str, Any]) -> Array:
    """Labels beside `x`; `logits` has as many columns as there are classes."""
    classes = logits.shape[-1] if logits.ndim else 0
    return ids_beside(
        "target", target, x, classes, ignore_index=options.get("ignore_index", IGNORE_INDEX)
    )


def mse_loss(input: Tensor, target: Array, reduction: str = "mean") -> Tensor:
    """(input - target)^2, averaged ("mean") or added up ("sum") over all elements, in float32.

    input : Tensor of any shape; target : array of its shape, needs no gradient
    """
    x = _wide(input)
    t = _numbers("target", target, x.shape, x)
    with np.errstate(all="ignore"):  # as the kernels: an infinite loss is the trainer's to report
        difference = x - t
        losses = difference * difference
    return _reduced(input, losses, 2 * difference, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Array, weight: Array | None = None, reduction: str = "mean"
) -> Tensor:
    """-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), averaged or added up over all elements.

    input : Tensor of logits (..., V); target : array of its shape, 0 to 1; weight : array (V) or
    None, what each class's losses are multiplied with. Computed in float32 (float64).
    """
    x = _wide(input)
    t = _numbers("target", target, x.shape, x)
    xp = kernels.xp(x)
    small = xp.exp(-xp.abs(x))  # at most 1: nothing overflows
    with np.errstate(all="ignore"):  # an infinite logit and its target
        losses = xp.maximum(x, 0) - x * t + xp.log1p(small)
    slopes = xp.where(x >= 0, 1, small) / (1 + small) - t
    if weight is not None:
        wide = _numbers("weight", weight, x.shape[-1:], x)
        losses, slopes = losses * wide, slopes * wide
    return _reduced(input, losses, slopes, reduction)


def _wide(input: Tensor) -> Array:
    return floats_of("input", input).astype(accumulator_dtype(input.dtype), copy=False)


def _numbers(name: str, array: Array, shape: Sequence[int], like: Array) -> Array:
    """An array of numbers of this shape, of the kind and dtype of `like`."""
    array = beside(name, array, like)
    check_array(name, array, (*float_types(array), *IDS, np.dtype(np.bool_)))
    check_shape(shape, **{name: array})
    return array.astype(like.dtype, copy=False)


def _reduced(input: Tensor, losses: Array, slopes: Array, reduction: str) -> Tensor:
    """The mean or sum of elementwise losses, and `slopes`, their derivatives, on the tape."""
    if reduction not in ("mean", "sum"):
        raise ConfigError(f"reduction: got {shown(reduction)}, expected mean or sum")
    divisor = max(1, losses.size) if reduction == "mean" else 1
    total = kernels.xp(losses).asarray(losses.sum(dtype=np.float64) / divisor, losses.dtype)
    if not needs_grad(input):
        return Tensor(total)

    def backward(grad: Array) -> Sequence[Any]:
        return ((slopes * (grad / losses.dtype.type(divisor))).astype(input.dtype),)

    return record(total, (input,), backward, is_fresh=True)
