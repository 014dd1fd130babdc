"""The largest elements of rows."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ._arrays import check_array, check_ndim, check_size, computed, contiguous
from ._backend import backend


def topk(x: Any, k: int) -> tuple[Any, Any]:
    """The k largest elements along the last axis, largest first, and where they are.

    values[..., j] = x[..., indices[..., j]]

    Parameters
    ----------
    x : array (..., C), float32, bfloat16 or float64
    k : int, from 0 to C

    Returns
    -------
    values : array (..., k), dtype of x
    indices : array (..., k), int64

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted

    Notes
    -----
    Equal values rank by place, so that the result follows from x alone; PyTorch's may be any of
    them. NaN ranks last, as NumPy sorts it.
    """
    module = backend("x", x)
    try:
        found = module.topk(x, k)
    except TypeError:
        found = None
    if found is None:  # not the canonical case: explain, or copy a strided array
        check_array("x", x)
        check_ndim("x", x, 1)
        k = check_size("k", k)
        if k > x.shape[-1]:
            raise ShapeError(f"k: got {k}, expected at most {x.shape[-1]}, the last axis of x")
        found = computed(module.topk(contiguous(x), k))
    return found
