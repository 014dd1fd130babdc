"""Losses."""

from __future__ import annotations

from collections.abc import Sequence
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
from ..kernels.cross_entropy import reduce_losses
from ..kernels.gemm import flat_rows
from ..quantized import QuantizedParameter
from ..tensor import Array, Tensor, needs_grad, record
from ._data import beside, data_of, data_or_none, floats_of, ids_beside
from .linear import check_not_recorded, linear, weight_to_read

IGNORE_INDEX = -100  # where the kernels' caller says nothing else
_HEAD_ROWS = 256  # whose logits by an int8 head are in memory at once


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
    x: Tensor, weight: Tensor, target: Array, bias: Tensor | None = None, **options: Any
) -> Tensor:
    """Cross entropy of the logits x weight^T + bias, which never exist as a whole.

    The gradients are computed in the forward, while a chunk of logits is at hand; backward only
    scales them. x is (..., C), weight (V, C), target (...); see the kernel for the options.
    """
    x_data = data_of("x", x)
    table = data_of("weight", weight)
    target = _labels_beside(target, x_data, table.T, options)
    if isinstance(weight, QuantizedParameter):
        return _quantized_loss(x, weight, target, bias, **options)
    b = data_or_none("bias", bias)
    if not needs_grad(x, weight, bias):
        table = weight_to_read(x_data, weight)
        return Tensor(kernels.fused_linear_cross_entropy(x_data, table, target, b, **options))
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


def _quantized_loss(
    x: Tensor,
    weight: QuantizedParameter,
    target: Array,
    bias: Tensor | None,
    *,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    num_items: float | None = None,
) -> Tensor:
    """The loss of logits by an int8 head, some rows at a time."""
    check_not_recorded(x, bias)
    check_choice("reduction", reduction, ("mean", "sum"))
    check_array("target", target, IDS)
    check_shape(x.shape[:-1], target=target)
    check_ids("target", target, weight.shape[0], ignore_index=ignore_index)
    if num_items is not None:
        num_items = check_number("num_items", num_items, np.finfo(np.float32).tiny)
    rows, labels = flat_rows(x.data), target.reshape(-1)
    losses = np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), _HEAD_ROWS):
        part = slice(start, start + _HEAD_ROWS)
        if (labels[part] != ignore_index).any():
            losses[part] = kernels.cross_entropy(
                linear(Tensor(rows[part]), weight, bias).data,
                labels[part],
                ignore_index=ignore_index,
                label_smoothing=label_smoothing,
                reduction="none",
            )
    counted = np.count_nonzero(labels != ignore_index) if num_items is None else num_items
    return Tensor(reduce_losses(losses, np.float32(counted), reduction))


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
