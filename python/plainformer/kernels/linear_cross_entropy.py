"""Linear layer and cross entropy fused: the loss of a language-model head without its logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._cpu import PackedWeight
from ..errors import DTypeError, ShapeError
from ._arrays import (
    IDS,
    LARGEST_SIZE,
    check_array,
    check_choice,
    check_flag,
    check_ids,
    check_ndim,
    check_number,
    check_same_device,
    check_same_dtype,
    check_shape,
    check_size,
    computed,
    contiguous,
    is_aligned,
)
from ._backend import backend
from .cross_entropy import ordered_sum, reduce_losses
from .gemm import check_level, flat_rows


def fused_linear_cross_entropy(
    input: Any,
    weight: Any,
    target: Any,
    bias: Any = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    num_items: float | None = None,
    return_count: bool = False,
    return_grads: bool = False,
) -> Any:
    """Cross entropy of the logits input weight^T + bias, which are never held whole.

    Without gradients no logit is stored: their log-sum-exp is made block by block, while they are
    in cache. With gradients the rows are taken in chunks: logits, loss, the logits' gradient in
    their place and its two products, before the next chunk.

    Memory beyond inputs and gradients, on the CPU: about 8 MB, for a part of the weight that is
    packed at a time (none of a PackedWeight); with gradients also a chunk's logits, at most 32 MB
    or as much as a float32 weight takes, whichever is more (half as much again in bfloat16).

    Parameters
    ----------
    input : array (..., C), float32, bfloat16 or float64
    weight : array (V, C), dtype of input; any strides (a transposed view is read in place); or,
        without gradients, a PackedWeight: the result has the same bytes
    target : array (...), int32 or int64, each in [0, V) or ignore_index
    bias : array (V), dtype of input, or None
    reduction : "mean" or "sum"
    num_items : float above 0 or None; "mean" divides by it instead of by the labels that count,
        so that the micro batches of one step share one denominator
    return_count : bool, also return how many labels count (0-d)
    return_grads : bool, also return the gradients of the reduced loss

    Returns
    -------
    loss : 0-d array, float32 (float64 for float64 input); 0 with one warning if no label counts
    count : 0-d array, with return_count
    grads : tuple, with return_grads: dinput (dtype of input), dweight and dbias (float32, or
        float64 for float64: sums over chunks are not rounded), dbias None without bias

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Hsu et al., "Liger Kernel", 2024, arXiv:2410.10989, section 3.2.
    """
    check_choice("reduction", reduction, ("mean", "sum"))
    return_count = check_flag("return_count", return_count)
    return_grads = check_flag("return_grads", return_grads)
    smoothing = check_number("label_smoothing", label_smoothing, 0.0, 1.0)
    check_size("ignore_index", ignore_index, -LARGEST_SIZE)
    check_array("input", input)
    check_ndim("input", input, 1)
    is_packed = isinstance(weight, PackedWeight)
    if not is_packed:
        check_array("weight", weight)
    elif return_grads:
        raise DTypeError(
            "weight: got a PackedWeight with return_grads, expected the array it was packed from"
        )
    else:
        check_level(weight)
    if bias is not None:
        check_array("bias", bias)
    check_same_dtype(input=input, weight=weight, bias=bias)
    if len(weight.shape) != 2 or weight.shape[1] != input.shape[-1] or weight.shape[0] == 0:
        raise ShapeError(
            f"weight: got shape {weight.shape}, expected (V, {input.shape[-1]}), V > 0"
        )
    check_array("target", target, IDS)
    check_same_device(input=input, target=target)
    target = target.copy()  # checked, counted and read: another thread may write to the caller's
    check_shape(input.shape[:-1], target=target)
    check_ids("target", target, weight.shape[0], ignore_index=ignore_index)
    check_shape(weight.shape[:1], bias=bias)
    rows = flat_rows(input)
    labels = contiguous(target).reshape(-1)
    divisor = _divisor(labels, ignore_index, reduction, num_items)
    arrays = rows, weight if is_packed else _aligned(weight), labels, contiguous(bias)
    losses, counted, dinput, dweight, dbias = computed(
        backend("input", input).linear_cross_entropy(
            *arrays, ignore_index, smoothing, 1.0 / divisor, return_grads
        )
    )
    count = ordered_sum(counted)
    loss = reduce_losses(
        losses, count if num_items is None else float(count.dtype.type(divisor)), reduction
    )
    result = [loss] + [count] * return_count
    if return_grads:
        result.append((dinput.reshape(input.shape), dweight, dbias))
    return result[0] if len(result) == 1 else tuple(result)


def _divisor(labels: Any, ignore_index: int, reduction: str, num_items: float | None) -> float:
    """What the summed loss, and so every gradient, is divided by."""
    if reduction == "sum":
        return 1.0
    if num_items is not None:
        return check_number("num_items", num_items, np.finfo(np.float32).tiny)
    return max(1.0, float((labels != ignore_index).sum()))


def _aligned(weight: Any) -> Any:
    """Rows or columns of the weight may be strided; elements must be aligned."""
    return weight if is_aligned(weight) else contiguous(weight)
