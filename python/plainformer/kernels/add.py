"""Elementwise sums: the residual stream and accumulated gradients."""

from __future__ import annotations

from typing import Any

from ._arrays import check_array, check_same_dtype, check_shape, contiguous
from ._backend import backend


def add(a: Any, b: Any) -> Any:
    """y = a + b, element by element; nothing is broadcast.

    Parameters
    ----------
    a, b : array of one shape and dtype, float32, bfloat16 or float64

    Returns
    -------
    y : array like a

    Raises
    ------
    ShapeError, DTypeError : naming the argument, what it got and what was wanted
    """
    y = backend("a", a).add(a, b)
    if y is None:  # not the canonical case: explain, or copy a strided array
        check_array("a", a)
        check_array("b", b)
        check_same_dtype(a=a, b=b)
        check_shape(a.shape, b=b)
        y = backend("a", a).add(contiguous(a), contiguous(b))
    return y
