"""softmax and log_softmax along any axis, and their gradients."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError, ShapeError, shown
from ..kinds import as_index
from ._arrays import (
    MOST_AXES,
    Array,
    check_alike,
    check_array,
    check_ndim,
    check_out,
    computed,
    contiguous,
)
from ._backend import backend


class _Last(int):
    """The default axis, -1, told apart from a -1 that the caller wrote."""


_LAST = _Last(-1)


def softmax(x: Array, axis: int = _LAST, *, dim: int | None = None, out: Any = None) -> Array:
    """y = exp(x) / sum of exp(x) along one axis.

    Parameters
    ----------
    x : array of at least one axis, float32, bfloat16 or float64
    axis : int, negative from the end; `dim` is PyTorch's word for it, and both are an error
    out : array like x that receives y

    Returns
    -------
    y : array like x

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    Notes
    -----
    The maximum is subtracted first, so that large x do no harm. As in NumPy and PyTorch a row
    that is -inf throughout gives NaN (attention, which knows masks, gives 0), and so does a row
    with inf or NaN.
    """
    return _softmax(x, _axis(axis, dim), False, out)


def log_softmax(x: Array, axis: int = _LAST, *, dim: int | None = None, out: Any = None) -> Array:
    """y = x - log of the sum of exp(x) along one axis.

    Parameters
    ----------
    x : array of at least one axis, float32, bfloat16 or float64
    axis : int, negative from the end; `dim` is PyTorch's word for it, and both are an error
    out : array like x that receives y

    Returns
    -------
    y : array like x; rows of -inf, or with inf or NaN, give NaN as in `softmax`

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _softmax(x, _axis(axis, dim), True, out)


def softmax_backward(
    grad_output: Array, output: Any, axis: int = _LAST, *, dim: int | None = None
) -> Array:
    """Gradient of `softmax`: dx = y (grad_output - sum of grad_output y along the axis).

    Parameters
    ----------
    grad_output : array like output
    output : array, y of the forward
    axis, dim : int, as in the forward

    Returns
    -------
    dx : array like output

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _softmax_backward(grad_output, output, _axis(axis, dim), False)


def log_softmax_backward(
    grad_output: Array, output: Any, axis: int = _LAST, *, dim: int | None = None
) -> Array:
    """Gradient of `log_softmax`: dx = grad_output - exp(y) sum of grad_output along the axis.

    Parameters
    ----------
    grad_output : array like output
    output : array, y of the forward
    axis, dim : int, as in the forward

    Returns
    -------
    dx : array like output

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    return _softmax_backward(grad_output, output, _axis(axis, dim), True)


def _axis(axis: int, dim: int | None) -> int:
    if axis is _LAST and dim is None:
        return _LAST
    if dim is not None:
        if axis is not _LAST:
            raise ConfigError(f"axis, dim: got {axis} and {dim}, expected only one of the two")
        axis = dim
    axis = as_index("axis", axis)
    if not -MOST_AXES <= axis < MOST_AXES:  # of no array
        raise ShapeError(f"axis: got {shown(axis)}, expected {-MOST_AXES} to {MOST_AXES - 1}")
    return axis


def _softmax(x: Any, axis: int, log: bool, out: Any) -> Any:
    module = backend("x", x)
    try:
        y = module.softmax(x, axis, log, out)
    except TypeError:
        y = None
    if y is None:  # not the canonical case: explain, or copy a strided array
        _check_axis("x", x, axis)
        if out is not None:
            check_out(out, x.shape, x.dtype, x=x)
        y = computed(module.softmax(contiguous(x), axis, log, out))
    return y


def _softmax_backward(grad_output: Any, output: Any, axis: int, log: bool) -> Any:
    module = backend("output", output)
    try:
        dx = module.softmax_backward(grad_output, output, axis, log)
    except TypeError:
        dx = None
    if dx is None:  # not the canonical case: explain, or copy strided arrays
        _check_axis("output", output, axis)
        check_alike(output=output, grad_output=grad_output)
        arrays = contiguous(grad_output), contiguous(output)
        dx = computed(module.softmax_backward(*arrays, axis, log))
    return dx


def _check_axis(name: str, x: Any, axis: int) -> None:
    check_array(name, x)
    check_ndim(name, x, 1)
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"axis: got {shown(axis)}, expected {-x.ndim} to {x.ndim - 1} for {name}")
