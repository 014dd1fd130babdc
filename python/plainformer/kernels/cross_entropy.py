"""Cross entropy of logits and labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError, warn_once
from ._arrays import (
    IDS,
    LARGEST_SIZE,
    accumulator_dtype,
    check_array,
    check_choice,
    check_flag,
    check_ids,
    check_number,
    check_same_device,
    check_shape,
    check_size,
    computed,
    contiguous,
    unit_last_axis,
)
from ._backend import backend, xp

REDUCTIONS = ("mean", "sum", "none")


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    return_count: bool = False,
    return_lse: bool = False,
) -> Any:
    """Cross entropy between logits and integer labels, as torch.nn.functional.cross_entropy.

    loss_n = (1 - s) w[t_n] (lse_n - x[n, t_n]) + s / V sum_v w[v] (lse_n - x[n, v]),
    lse_n = log sum_v exp(x[n, v]), s = label_smoothing. A label equal to `ignore_index` counts
    nothing. "mean" divides the sum by `count`, the sum of w[t_n] over the labels that count.
    When none counts the loss is 0, with one warning, never NaN.

    Parameters
    ----------
    input : array (N, V) of logits, float32, bfloat16 or float64
    target : array (N), int32 or int64, each in [0, V) or ignore_index
    weight : array (V) or None, a weight for each class; float32 (float64 for float64 input)
    reduction : "mean", "sum" or "none"
    label_smoothing : float in [0, 1]
    return_count : bool, also return the count (0-d) that "mean" divides by
    return_lse : bool, also return lse (N), which `cross_entropy_backward` needs

    Returns
    -------
    loss : 0-d array, or (N) with reduction "none"; float32 (float64 for float64 input);
        then count and lse where asked

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Szegedy et al., "Rethinking the Inception Architecture", 2016 (label smoothing).
    """
    smoothing = _check_options(reduction, label_smoothing, ignore_index)
    extra = check_flag("return_count", return_count), check_flag("return_lse", return_lse)
    module = backend("input", input)
    rows = module.cross_entropy(input, target, weight, ignore_index, smoothing)
    if rows is None:  # not the canonical case: explain, or copy strided arrays
        input, target, weight = _canonical(input, target, weight, ignore_index)
        rows = computed(module.cross_entropy(input, target, weight, ignore_index, smoothing))
    losses, label_weights, lse = rows
    count = ordered_sum(label_weights)
    loss = losses if reduction == "none" else reduce_losses(losses, count, reduction)
    extras = [value for value, wanted in zip((count, lse), extra) if wanted]
    return (loss, *extras) if extras else loss


def cross_entropy_backward(
    grad_output: Any,
    input: Any,
    target: Any,
    lse: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Gradient of `cross_entropy` for its input.

    Parameters
    ----------
    grad_output : array or float, 0-d; with reduction "none" an array (N). float32
    input, target, weight, ignore_index, reduction, label_smoothing : as in the forward
    lse : array (N), which the forward returned with return_lse=True

    Returns
    -------
    dinput : array like input; rows whose label is ignored are 0

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    smoothing = _check_options(reduction, label_smoothing, ignore_index)
    module = backend("input", input)
    check_array("input", input)
    grad = _row_gradients(grad_output, target, weight, ignore_index, reduction, input)
    dinput = module.cross_entropy_backward(
        grad, input, target, lse, weight, ignore_index, smoothing
    )
    if dinput is None:  # not the canonical case: explain, or copy strided arrays
        input, target, weight = _canonical(input, target, weight, ignore_index)
        check_array("lse", lse, (accumulator_dtype(input.dtype),))
        check_shape(target.shape, lse=lse, grad_output=grad)
        check_same_device(input=input, lse=lse, grad_output=grad)
        arrays = grad, input, target, contiguous(lse), weight
        dinput = computed(module.cross_entropy_backward(*arrays, ignore_index, smoothing))
    return dinput


def ordered_sum(values: Any) -> Any:
    """The sum in double, in one fixed order, as a 0-d array of the values' type."""
    return xp(values).asarray(values.sum(dtype=np.float64), values.dtype)


def reduce_losses(losses: Any, count: Any, reduction: str) -> Any:
    """The 0-d "sum" or "mean" of row losses; 0 and one warning when no label counts."""
    total = ordered_sum(losses)
    if reduction == "sum":
        return total
    if type(total) is not np.ndarray and not hasattr(count, "shape"):
        return total / count  # a number of the caller's: nothing waits for a device
    number = float(count)  # plain numbers: arithmetic on 0-d arrays takes longer than the loss
    if number == 0:
        warn_once("cross entropy: every label is ignored; the loss is 0", stacklevel=4)
        return xp(total).zeros_like(total)
    if number >= 1:  # as without weights of classes: nothing overflows
        return xp(total).asarray(float(total) / number, total.dtype)
    with np.errstate(all="ignore"):
        return xp(total).asarray(total / count, total.dtype)


def _check_options(reduction: str, label_smoothing: float, ignore_index: int) -> float:
    check_choice("reduction", reduction, REDUCTIONS)
    check_size("ignore_index", ignore_index, -LARGEST_SIZE)
    return check_number("label_smoothing", label_smoothing, 0.0, 1.0)


def _canonical(input: Any, target: Any, weight: Any, ignore_index: int) -> tuple[Any, Any, Any]:
    """The arrays as the compiled kernel takes them, or the one error that says what is wrong."""
    check_array("input", input)
    if input.ndim != 2:
        raise ShapeError(
            f"input: got shape {input.shape}, expected (N, V); "
            "move the class axis last and flatten the others"
        )
    check_ids("target", target, input.shape[1], ignore_index=ignore_index)
    check_shape(input.shape[:1], target=target)
    if weight is not None:
        check_array("weight", weight, (accumulator_dtype(input.dtype),))
        check_shape(input.shape[1:], weight=weight)
    check_same_device(input=input, target=target, weight=weight)
    return unit_last_axis(input), contiguous(target), contiguous(weight)


def _row_gradients(
    grad_output: Any, target: Any, weight: Any, ignore_index: int, reduction: str, input: Any
) -> Any:
    """What each row's loss is multiplied by: (N), in the accumulator type."""
    acc = accumulator_dtype(input.dtype)
    if reduction == "none":
        check_array("grad_output", grad_output, (acc,))
        return contiguous(grad_output)
    if not hasattr(grad_output, "dtype"):
        largest = float(np.finfo(acc).max)
        grad_output = check_number("grad_output", grad_output, -largest, largest)
        grad_output = xp(input).asarray(grad_output, acc)
    check_array("grad_output", grad_output)
    check_shape((), grad_output=grad_output)
    check_same_device(input=input, grad_output=grad_output)
    scale = xp(input).asarray(grad_output, acc)
    if reduction == "mean":
        check_array("target", target, IDS)
        labels = target.copy()  # read more than once below; another thread may write to target
        input, target, weight = _canonical(input, labels, weight, ignore_index)
        counted = target != ignore_index
        if weight is None:
            weights = counted
        else:  # on a device a label may be wrong, which the kernel tells
            counted &= (target >= 0) & (target < len(weight))
            weights = xp(weight).where(counted, weight[target * counted], 0)
        count = float(weights.sum(dtype=np.float64))
        with np.errstate(all="ignore"):
            scale = scale / acc.type(count) if count else xp(input).zeros((), acc)
    return xp(input).full(input.shape[:1], scale, acc)
