"""Layer norm and RMS norm. Each backward takes what its forward returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes

from ..errors import ConfigError, DTypeError, ShapeError
from ._arrays import (
    FLOATS,
    check_alike,
    check_array,
    check_flag,
    check_ndim,
    check_number,
    check_out,
    check_same_device,
    check_same_dtype,
    check_shape,
    check_size,
    computed,
    contiguous,
)
from ._attention import checked_dropout
from ._backend import backend
from ._devices import float32, float64

_SMALLEST_STEPS = {dtype: float(ml_dtypes.finfo(dtype).eps) for dtype in FLOATS}
"""What 1 is apart from the next larger number: PyTorch's `eps` of `rms_norm`."""


def layer_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    residual: Any = None,
    dropout_p: float = 0.0,
    seed: int | None = None,
    offset: int = 0,
    out: Any = None,
    return_stats: bool = False,
) -> Any:
    """Shift and scale the trailing axes to mean 0 and variance 1, then apply weight and bias.

    y = (s - mean) / sqrt(var + eps) * weight + bias, where s = dropout(x) + residual

    Parameters
    ----------
    x : array (..., *normalized_shape), float32, bfloat16 or float64
    normalized_shape : int or tuple of int
    weight, bias : array of normalized_shape, dtype of x (or both float32 where x is bfloat16);
        None means 1 and 0
    eps : float, added to the variance
    residual : array like x, added to x first; the sum is returned too
    dropout_p, seed, offset : what `dropout` does to x before the residual is added to it, with the
        same mask and bytes; seed is required with dropout_p > 0
    out : array like x that receives y
    return_stats : bool, also return what `layer_norm_backward` needs

    Returns
    -------
    y : array like x; with residual then s, with return_stats then mean and rstd = 1 /
        sqrt(var + eps), float32 (float64 for float64 x), one a row

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    Notes
    -----
    The variance is that of a second pass over the row, corrected by the rounding error of the
    mean, so that it holds where |mean| is much larger than the deviation.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", 2016, arXiv:1607.06450.
    """
    drop = _checked_dropout(dropout_p, seed, offset, normalized_shape, residual)
    return _norm(x, normalized_shape, weight, bias, eps, residual, out, return_stats, False, drop)


def rms_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    eps: float | None = None,
    *,
    residual: Any = None,
    dropout_p: float = 0.0,
    seed: int | None = None,
    offset: int = 0,
    out: Any = None,
    return_stats: bool = False,
) -> Any:
    """Divide the trailing axes by their root mean square, then apply weight.

    y = s / sqrt(mean(s^2) + eps) * weight, where s = dropout(x) + residual

    Parameters
    ----------
    x : array (..., *normalized_shape), float32, bfloat16 or float64
    normalized_shape : int or tuple of int
    weight : array of normalized_shape, dtype of x (or float32 where x is bfloat16); None means 1
    eps : float; None means the smallest step above 1 in the dtype of x, as in PyTorch
    residual : array like x, added to x first; the sum is returned too
    dropout_p, seed, offset : what `dropout` does to x before the residual is added to it, with the
        same mask and bytes; seed is required with dropout_p > 0
    out : array like x that receives y
    return_stats : bool, also return what `rms_norm_backward` needs

    Returns
    -------
    y : array like x; with residual then s, with return_stats then rstd, float32 (float64 for
        float64 x), one a row

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Zhang, Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467.
    """
    if eps is None:
        eps = _SMALLEST_STEPS.get(getattr(x, "dtype", None))
        if eps is None:
            check_array("x", x)  # no such array: the error
    drop = _checked_dropout(dropout_p, seed, offset, normalized_shape, residual)
    return _norm(x, normalized_shape, weight, None, eps, residual, out, return_stats, True, drop)


def layer_norm_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    bias: Any = None,
    *,
    grad_residual: Any = None,
    dropout_p: float = 0.0,
    seed: int | None = None,
    offset: int = 0,
) -> tuple[Any, ...]:
    """Gradients of `layer_norm`.

    With x_hat = (x - mean) rstd and g = grad_output weight, averages over the normalized axes:
    dx = rstd (g - avg(g) - x_hat avg(g x_hat)) + grad_residual,
    dweight = sum of grad_output x_hat and dbias = sum of grad_output over the other axes.

    Parameters
    ----------
    grad_output : array like x
    x : array, what was normalized: x of the forward, or the sum it returned with residual
    weight, bias : array or None, as in the forward; bias is not read
    mean, rstd : array, as returned by the forward with return_stats
    grad_residual : array like x, the gradient that reaches the sum on other ways
    dropout_p, seed, offset : as in the forward

    Returns
    -------
    dx : array like x; with residual it is the gradient of x and of residual
    dweight, dbias : array like weight and bias, None for an absent one
    dresidual : array like x, only with dropout_p > 0: the gradient of residual; dx is then what
        `dropout_backward` makes of it

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    drop = checked_dropout(dropout_p, seed, offset)
    return _norm_backward(grad_output, x, weight, bias, grad_residual, drop, mean=mean, rstd=rstd)


def rms_norm_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    rstd: Any,
    *,
    grad_residual: Any = None,
    dropout_p: float = 0.0,
    seed: int | None = None,
    offset: int = 0,
) -> tuple[Any, ...]:
    """Gradients of `rms_norm`.

    With x_hat = x rstd and g = grad_output weight, averages over the normalized axes:
    dx = rstd (g - x_hat avg(g x_hat)) + grad_residual,
    dweight = sum of grad_output x_hat over the other axes.

    Parameters
    ----------
    grad_output : array like x
    x : array, what was normalized: x of the forward, or the sum it returned with residual
    weight : array or None, as in the forward
    rstd : array, as returned by the forward with return_stats
    grad_residual : array like x, the gradient that reaches the sum on other ways
    dropout_p, seed, offset : as in the forward

    Returns
    -------
    dx : array like x; with residual it is the gradient of x and of residual
    dweight : array like weight, or None
    dresidual : array like x, only with dropout_p > 0: the gradient of residual; dx is then what
        `dropout_backward` makes of it

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    drop = checked_dropout(dropout_p, seed, offset)
    dx, dweight, _, *rest = _norm_backward(
        grad_output, x, weight, None, grad_residual, drop, rstd=rstd
    )
    return (dx, dweight, *rest)


def _norm(
    x: Any,
    normalized_shape: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    residual: Any,
    out: Any,
    return_stats: bool,
    rms: bool,
    drop: tuple[float, int, int],
) -> Any:
    module = backend("x", x)
    if type(eps) is not float or not 0 <= eps < math.inf:
        eps = check_number("eps", eps, 0.0)
    try:
        y = module.norm(
            x, normalized_shape, weight, bias, eps, residual, out, return_stats, rms, *drop
        )
    except TypeError:
        y = None
    if y is None:  # not the canonical case: explain, or copy strided arrays
        shape = _check_forward(x, normalized_shape, weight, bias, residual, out)
        arrays = (contiguous(x), shape, contiguous(weight), contiguous(bias))
        last = contiguous(residual), out, check_flag("return_stats", return_stats), rms
        y = computed(module.norm(*arrays, eps, *last, *drop))
    return y


def _norm_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    bias: Any,
    grad_residual: Any,
    drop: tuple[float, int, int],
    **stats: Any,
) -> Any:
    module = backend("x", x)
    mean, rstd = stats.get("mean"), stats["rstd"]
    grads = module.norm_backward(grad_output, x, weight, mean, rstd, bias, grad_residual, *drop)
    if grads is None:  # not the canonical case: explain, or copy strided arrays
        _check_backward(grad_output, x, weight, bias, grad_residual, drop, stats)
        arrays = (grad_output, x, weight, mean, rstd, bias, grad_residual)
        grads = computed(module.norm_backward(*map(contiguous, arrays), *drop))
    if drop[0]:
        dresidual, dweight, dbias, dx = grads
        return dx, dweight, dbias, dresidual
    return grads


def _checked_dropout(
    dropout_p: float, seed: int | None, offset: int, shape: Any, residual: Any
) -> tuple[float, int, int]:
    """The mask is that of the last axis, and nothing is gained without the add."""
    drop = checked_dropout(dropout_p, seed, offset)
    if drop[0] and (residual is None or (isinstance(shape, Sequence) and len(shape) != 1)):
        what = "without a residual" if residual is None else f"with normalized_shape {shape}"
        raise ConfigError(f"dropout_p: got {dropout_p} {what}, expected 0; apply `dropout` to x")
    return drop


def _check_forward(
    x: Any, normalized_shape: Any, weight: Any, bias: Any, residual: Any, out: Any
) -> tuple[int, ...]:
    """Raise for anything that does not fit; the normalized shape as a tuple."""
    check_array("x", x)
    sizes = (
        tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    )
    shape = tuple(check_size("normalized_shape", size) for size in sizes)
    if not shape:
        raise ShapeError("normalized_shape: got (), expected at least one axis")
    if x.shape[-len(shape) :] != shape:
        raise ShapeError(f"x: got shape {x.shape}, expected one that ends in {shape}")
    _check_parameters(x, shape, weight, bias)
    if residual is not None:
        check_alike(x=x, residual=residual)
    if out is not None:
        check_out(out, x.shape, x.dtype, x=x, weight=weight, bias=bias, residual=residual)
    return shape


def _check_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    bias: Any,
    grad_residual: Any,
    drop: tuple[float, int, int],
    stats: dict[str, Any],
) -> None:
    check_alike(x=x, grad_output=grad_output)
    check_ndim("x", x, 1)
    check_same_device(x=x, **stats)
    for name, array in stats.items():
        check_array(name, array, (float64 if x.dtype == float64 else float32,))
    rows = stats["rstd"].ndim
    if rows >= x.ndim:
        raise ShapeError(f"rstd: got shape {stats['rstd'].shape}, expected fewer axes than x")
    if drop[0] and rows != x.ndim - 1:
        raise ConfigError(
            f"dropout_p: got {drop[0]} with {x.ndim - rows} normalized axes, expected 1"
        )
    check_shape(x.shape[:rows], **stats)
    _check_parameters(x, x.shape[rows:], weight, bias)
    if grad_residual is not None:
        check_alike(x=x, grad_residual=grad_residual)


def _check_parameters(x: Any, shape: tuple[int, ...], weight: Any, bias: Any) -> None:
    check_same_device(x=x, weight=weight, bias=bias)
    for name, array in (("weight", weight), ("bias", bias)):
        if array is None:
            continue
        check_array(name, array)
        check_shape(shape, **{name: array})
        allowed = (x.dtype,) if x.dtype == float64 else (x.dtype, float32)
        if array.dtype not in allowed:
            raise DTypeError(f"{name}: got dtype {array.dtype}, expected {x.dtype} like x")
    if weight is not None and bias is not None:
        check_same_dtype(weight=weight, bias=bias)
