"""Elementwise sums: the residual stream and accumulated gradients."""

from __future__ import annotations

from typing import Any

from ..errors import DTypeError
from ._arrays import (
    Array,
    accumulator_dtype,
    check_alike,
    check_array,
    check_out,
    computed,
    contiguous,
)
from ._backend import backend


def add(a: Array, b: Any) -> Array:
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
        check_alike(a=a, b=b)
        y = computed(backend("a", a).add(contiguous(a), contiguous(b)))
    return y


def accumulate(out: Any, x: Any) -> None:
    """out += x in place, where out has the precision in which gradients are summed.

    Parameters
    ----------
    out : array, float32 (float64 for float64 x), contiguous and writable; written
    x : array of the same shape, float32, bfloat16 or float64; out itself, which is then doubled,
        or one that shares no memory with it

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    if backend("x", x).accumulate(out, x) is None:
        check_array("x", x)
        check_array("out", out)
        if out.dtype != accumulator_dtype(x.dtype):
            raise DTypeError(f"out: got dtype {out.dtype}, expected {accumulator_dtype(x.dtype)}")
        check_out(out, x.shape, out.dtype, x=x)
        computed(backend("x", x).accumulate(out, contiguous(x)))
