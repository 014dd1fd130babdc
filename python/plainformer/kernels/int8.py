"""Linear layers with an int8 weight: how it is made, packed and multiplied."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _cpu
from .._cpu import Int8Weight
from ..errors import ConfigError, DeviceError, DTypeError, ShapeError
from ._arrays import (
    accumulator_dtype,
    check_array,
    check_flag,
    check_ndim,
    check_same_dtype,
    check_shape,
    check_size,
    computed,
    contiguous,
    readable,
)
from ._backend import backend
from ._devices import bfloat16, float32
from .gemm import activation_code, flat_rows

__all__ = ["Int8Weight", "dequantize_weight", "linear_int8", "pack_int8", "quantize_weight"]

MOST_EXACT_TERMS = 65793
"""Products of uint8 and int8 whose sum fits int32: `most_exact_terms` of csrc/cpu/int8.h."""
_INT8 = np.dtype(np.int8)
_ROWS = 4096  # of a weight that are quantized at a time


def quantize_weight(weight: Any, group_size: int | None = None) -> tuple[Any, Any]:
    """A weight as int8 numbers, symmetric about 0, with one scale an output channel or a group.

    scale = max |weight| / 127        values = round(weight / scale)        ties to even

    Parameters
    ----------
    weight : array (out, in), float32, bfloat16 or float64, finite
    group_size : how many neighbors along `in` share a scale, a multiple of 4; None means all

    Returns
    -------
    values : array (out, in), int8, from -127 to 127
    scale : array (out, groups), dtype of weight; groups is 1, or in / group_size rounded up

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted

    References
    ----------
    Wu, Judd, Zhang, Isaev, Micikevicius, "Integer Quantization for Deep Learning Inference", 2020,
    arXiv:2004.09602.
    """
    _check_host("weight", weight)
    check_array("weight", weight)
    if weight.ndim != 2:
        raise ShapeError(f"weight: got shape {weight.shape}, expected (out, in)")
    out, width = weight.shape
    group = _group_size(group_size, width)
    groups = -(-width // group) if width else 0
    values = np.empty((out, width), np.int8)
    scale = np.empty((out, groups), weight.dtype)
    for row in range(0, out, _ROWS):
        rows = slice(row, row + _ROWS)
        for g in range(groups):
            columns = slice(g * group, (g + 1) * group)
            _quantize(weight[rows, columns], values[rows, columns], scale[rows, g])
    return values, scale


def _quantize(weight: Any, values: Any, scale: Any) -> None:
    """One group of some rows. The scale is rounded to its dtype before values are."""
    compute = accumulator_dtype(weight.dtype)
    weight = weight.astype(compute)
    largest = np.abs(weight).max(axis=1)
    if not np.isfinite(largest).all():
        raise ConfigError("weight: got NaN or infinite numbers, which no scale can hold")
    scale[...] = largest / 127
    steps = _finite_steps(scale)
    steps[steps == 0] = 1
    with np.errstate(over="ignore"):  # of a subnormal scale: clipped
        values[...] = np.clip(np.rint(weight / steps[:, None]), -127, 127)


def _finite_steps(scale: Any) -> Any:
    """The scales as numbers; one that was rounded up so that 127 of it are infinite is lowered."""
    compute = accumulator_dtype(scale.dtype)
    with np.errstate(over="ignore"):
        lost = ~np.isfinite((scale.astype(compute) * 127).astype(scale.dtype))
    if lost.any():
        scale[lost] = np.nextafter(scale[lost], scale.dtype.type(0))
    return scale.astype(compute)


def dequantize_weight(values: Any, scale: Any, group_size: int | None = None) -> Any:
    """The weight that int8 numbers and scales stand for.

    weight[n, k] = values[n, k] scale[n, k // group_size]

    Parameters
    ----------
    values : array (out, in), int8
    scale : array (out, groups), float32, bfloat16 or float64
    group_size : as given to `quantize_weight`

    Returns
    -------
    weight : array (out, in), dtype of scale

    Raises
    ------
    ShapeError, DTypeError, ConfigError : naming the argument, what it got and what was wanted
    """
    group = _checked_quantized(values, scale, group_size)
    compute = accumulator_dtype(scale.dtype)
    steps = np.repeat(scale.astype(compute), group, axis=1)[:, : values.shape[1]]
    return (values * steps).astype(scale.dtype)


def pack_int8(values: Any, scale: Any, group_size: int | None = None) -> Int8Weight:
    """Copy an int8 weight into the order in which `linear_int8` reads it.

    Parameters
    ----------
    values : array (out, in), int8, any strides (stored (in, out) it is passed as `stored.T`)
    scale : array (out, groups), float32 or bfloat16, as `quantize_weight` returns it
    group_size : as given to `quantize_weight`

    Returns
    -------
    packed : Int8Weight with shape (out, in), group_size, nbytes, level. It holds a copy, and
        belongs to the ISA level that packed it: `linear_int8` refuses it at another one.

    Raises
    ------
    ShapeError, DTypeError, ConfigError, DeviceError : naming the argument, what it got and what was
        wanted
    """
    group = _checked_quantized(values, scale, group_size)
    check_array("scale", scale, (float32, bfloat16))
    scale = contiguous(scale.astype(float32, copy=False))
    return computed(_cpu.pack_int8(readable(values), scale, group))


def linear_int8(
    x: Any,
    weight: Int8Weight,
    bias: Any = None,
    *,
    activation: str | None = None,
    dynamic: bool = False,
) -> Any:
    """`linear` with an int8 weight: a quarter of the bytes of a float32 weight are read.

    y = activation(x weight^T + bias)

    Weight only (the default): each value is widened as it is read, and products and sums are
    float32, in ascending order, scaled at the end of each group. This is for few rows, which wait
    for the weight.

    Dynamic: each row of x is quantized as it comes, to uint8 between its least and its greatest
    number (or 0), and sums are exact in int32, the same at every ISA level. This is for many rows:
    2 to 4 times as many products a cycle. A row with NaN or infinities becomes NaN as a whole.

    Either way a row of y has the same bytes whatever rows are beside it.

    Parameters
    ----------
    x : array (..., in), float32 or bfloat16
    weight : Int8Weight, from `pack_int8`
    bias : array (out), dtype of x; None means 0
    activation : as in `linear`
    dynamic : bool, quantize x too; group_size (or in) is then at most 65793, so that no sum leaves
        int32

    Returns
    -------
    y : array (..., out), dtype of x

    Raises
    ------
    ShapeError, DTypeError, ConfigError, DeviceError : naming the argument, what it got and what was
        wanted
    """
    code = activation_code(activation)
    try:
        y = _cpu.linear_int8(x, weight, bias, code, dynamic)
    except TypeError:
        y = None
    if y is None:
        dynamic = check_flag("dynamic", dynamic)
        rows, bias = _checked_linear(x, weight, bias, dynamic)
        y = computed(_cpu.linear_int8(rows, weight, bias, code, dynamic))
        y = y.reshape(*x.shape[:-1], weight.shape[0])
    return y


def _checked_linear(x: Any, weight: Any, bias: Any, dynamic: bool) -> tuple[Any, Any]:
    """x as (M, in) and bias as the kernel can read them, after all checks of `linear_int8`."""
    _check_host("x", x)
    check_array("x", x, (float32, bfloat16))
    if not isinstance(weight, Int8Weight):
        raise DTypeError(f"weight: got {type(weight).__name__}, expected what pack_int8 returned")
    if not weight.is_current:
        raise ConfigError(
            f"weight: was packed for level {weight.level}, but level {_cpu.current_level()} is in "
            "use; pack it again with kernels.pack_int8"
        )
    if bias is not None:
        check_array("bias", bias)
        check_same_dtype(x=x, bias=bias)
    check_ndim("x", x, 1)
    if weight.shape[1] != x.shape[-1]:
        raise ShapeError(f"x: got shape {x.shape}, expected (..., {weight.shape[1]})")
    check_shape(weight.shape[:1], bias=bias)
    if dynamic and weight.group_size > MOST_EXACT_TERMS:
        raise ShapeError(
            f"weight: got groups of {weight.group_size}, expected at most {MOST_EXACT_TERMS} with "
            "dynamic=True, whose sums would leave int32; quantize it with a group_size"
        )
    return flat_rows(x), contiguous(bias)


def _checked_quantized(values: Any, scale: Any, group_size: int | None) -> int:
    """The size of a group, after all checks."""
    _check_host("values", values)
    check_array("values", values, (_INT8,))
    _check_host("scale", scale)
    check_array("scale", scale)
    if values.ndim != 2:
        raise ShapeError(f"values: got shape {values.shape}, expected (out, in)")
    out, width = values.shape
    group = _group_size(group_size, width)
    check_shape((out, -(-width // group) if width else 0), scale=scale)
    return group


def _group_size(group_size: int | None, width: int) -> int:
    if group_size is None:
        return width
    check_size("group_size", group_size, 1)
    if group_size % 4:
        raise ShapeError(f"group_size: got {group_size}, expected a multiple of 4")
    return min(group_size, width) if width else 0


def _check_host(name: str, array: Any) -> None:
    if backend(name, array) is not _cpu:
        raise DeviceError(
            f"{name}: got an array on a device; int8 weights are for the CPU alone, "
            "kernels.asnumpy brings an array there"
        )
