"""Dropout with recomputed masks."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ConfigError
from ._arrays import Array, check_array, check_number, check_size, computed, contiguous
from ._backend import backend


def dropout(x: Array, p: float, seed: int, offset: int) -> Array:
    """Zero each element with probability p and multiply the others by 1 / (1 - p).

    Parameters
    ----------
    x : array, float32, bfloat16 or float64
    p : float from 0 to 1, rounded to a multiple of 2^-16; the scale is that of the rounded p
    seed : int from 0 to 2^64 - 1
    offset : int from 0 to 2^32 - 1, another one for each use of a seed

    Returns
    -------
    y : array like x

    Raises
    ------
    DTypeError, ConfigError, ShapeError : naming the argument, what it got and what was wanted

    Notes
    -----
    No state is kept: the decision for element (row, column), rows being the last axis, follows
    from seed, offset, row and column alone, through Philox4x32-10. It is the same at every ISA
    level and thread count.

    References
    ----------
    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
    """
    return _dropout("x", x, p, seed, offset)


def dropout_backward(grad_output: Array, p: float, seed: int, offset: int) -> Array:
    """Gradient of `dropout`: the same elements are zeroed, the others multiplied by 1 / (1 - p).

    Parameters
    ----------
    grad_output : array, float32, bfloat16 or float64, of the forward's shape
    p, seed, offset : as in the forward

    Returns
    -------
    dx : array like grad_output

    Raises
    ------
    DTypeError, ConfigError, ShapeError : naming the argument, what it got and what was wanted
    """
    return _dropout("grad_output", grad_output, p, seed, offset)


def _dropout(name: str, x: Any, p: float, seed: int, offset: int) -> Any:
    module = backend(name, x)
    p = check_number("p", p, 0.0, 1.0)
    seed = _check_counter("seed", seed, 64)
    offset = _check_counter("offset", offset, 32)
    y = module.dropout(x, p, seed, offset)
    if y is None:  # not the canonical case: explain, or copy a strided array
        check_array(name, x)
        y = computed(module.dropout(contiguous(x), p, seed, offset))
    return y


def _check_counter(name: str, value: Any, bits: int) -> int:
    number = check_size(name, value, most=math.inf)
    if number >> bits:
        raise ConfigError(f"{name}: got {number}, expected at most 2^{bits} - 1")
    return number
