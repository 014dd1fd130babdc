"""Arithmetic on arrays with its gradients: what `Tensor` does with + - * / ** @ and indices.

Each function takes arrays, or numbers beside them, and returns y and a function from the gradient
of y to those of the arguments (of a number: None). bfloat16 is computed in float32 and rounded
once. Nothing is promoted: arrays of two float types are an error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import kernels
from .errors import ConfigError, DTypeError, ShapeError, shown
from .kernels._arrays import (
    FLOATS,
    accumulator_dtype,
    check_array,
    check_flag,
    check_number,
    float_types,
)
from .kernels._devices import Device
from .kernels.devices import device_of
from .kernels.devices import to_device as move
from .kinds import as_index

Array = Any
Result = tuple[Array, Callable[[Array], Sequence[Any]]]

_quiet = np.errstate(all="ignore")  # as the kernels: what is infinite becomes NaN in silence


def add(a: Any, b: Any) -> Result:
    """y = a + b."""
    a, b = _pair("+", a, b)
    y = _rounded(lambda x, z: x + z, a, b)
    to_a, to_b = _back_to(a), _back_to(b)
    return y, lambda grad: (to_a(grad), to_b(grad))


def subtract(a: Any, b: Any) -> Result:
    """y = a - b."""
    a, b = _pair("-", a, b)
    y = _rounded(lambda x, z: x - z, a, b)
    to_a, to_b = _back_to(a), _back_to(b)
    return y, lambda grad: (to_a(grad), to_b(-grad))


def multiply(a: Any, b: Any) -> Result:
    """y = a b."""
    a, b = _pair("*", a, b)
    to_a, to_b = _back_to(a), _back_to(b)

    def backward(grad: Array) -> Sequence[Any]:
        g, x, z = _wide(grad), _wide(a), _wide(b)
        return to_a(g * z), to_b(g * x)

    return _rounded(lambda x, z: x * z, a, b), _quiet(backward)


def divide(a: Any, b: Any) -> Result:
    """y = a / b."""
    a, b = _pair("/", a, b)
    to_a, to_b = _back_to(a), _back_to(b)

    def backward(grad: Array) -> Sequence[Any]:
        g, x, z = _wide(grad), _wide(a), _wide(b)
        return to_a(g / z), to_b(-g * x / (z * z))

    return _rounded(lambda x, z: x / z, a, b), _quiet(backward)


def power(a: Any, exponent: Any) -> Result:
    """y = a ** exponent, for a number as exponent."""
    check_array("**", a)
    n = check_number("exponent", exponent)
    to_a = _back_to(a)

    def backward(grad: Array) -> Sequence[Any]:
        return to_a(_wide(grad) * n * _wide(a) ** (n - 1) if n else 0 * grad), None

    return _rounded(lambda x: x**n, a), _quiet(backward)


def negative(a: Array) -> Result:
    """y = -a."""
    check_array("-", a)
    to_a = _back_to(a)
    return _rounded(operator.neg, a), lambda grad: (to_a(-grad),)


def to_device(a: Array, device: Device) -> Result:
    """y = a, on another device."""
    check_array("to()", a)
    before = device_of(a)
    return move(a, device), lambda grad: (move(grad, before),)


def astype(a: Array, dtype: Any) -> Result:
    """y = a, rounded to another float type."""
    check_array("astype()", a)
    try:
        wanted = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        wanted = None
    known = float_types(a)
    if wanted is None or wanted not in known:  # None == float64, to NumPy
        names = f"{known[0]}, {known[1]} or {known[2]}"
        raise DTypeError(f"dtype: got {shown(dtype)}, expected {names}")
    before = a.dtype
    return _rounded_to(wanted, a), lambda grad: (_rounded_to(before, grad),)


@_quiet
def _rounded_to(dtype: Any, x: Array) -> Array:
    return x.astype(dtype, copy=False)


def matmul(a: Any, b: Any) -> Result:
    """y = a b over the last two axes, as in NumPy: leading axes are broadcast, 1 axis is a vector.

    The product is that of `kernels.matmul`, whose errors name what does not fit.
    """
    for side, x in (("left", a), ("right", b)):
        check_array(f"@: the {side} side", x)
        if not x.ndim:
            raise ShapeError(f"@: the {side} side is a single number, expected at least 1 axis")
    left = a[None] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    full = kernels.matmul(left, right)
    lost = tuple([axis for axis, x in ((-2, a), (-1, b)) if x.ndim == 1])
    y = full.reshape([n for i, n in enumerate(full.shape, -full.ndim) if i not in lost])

    def backward(grad: Array) -> Sequence[Any]:
        da, db = kernels.matmul_backward(grad.reshape(full.shape), left, right)
        return da.reshape(a.shape), db.reshape(b.shape)

    return y, backward


def index(a: Array, where: Any) -> Result:
    """y = a[where]: whole numbers, slices, None, ..., integer and bool arrays.

    A place taken twice gets the sum of both gradients.
    """
    where = _index(a, where)
    try:
        y = a[where]
    except (IndexError, TypeError, ValueError) as error:
        raise ShapeError(f"index: got {shown(where)} for shape {a.shape}: {error}") from None
    shape, dtype = a.shape, a.dtype
    repeats = any(hasattr(part, "dtype") for part in where)

    def backward(grad: Array) -> Sequence[Any]:
        xp = kernels.xp(grad)
        total = xp.zeros(shape, accumulator_dtype(dtype))
        if repeats:
            xp.add.at(total, where, _wide(grad))
        else:
            total[where] = grad
        return (total.astype(dtype, copy=False),)

    return kernels.xp(y).asarray(y), backward


@_quiet
def reduce(a: Array, axis: Any, keepdims: bool, mean: bool) -> Result:
    """The sum, or the mean, over one axis, several, or all (None)."""
    check_array("mean()" if mean else "sum()", a)
    keepdims = check_flag("keepdims", keepdims)
    axes = _axes(axis, a.ndim)
    count = 1
    for i in axes:
        count *= a.shape[i]
    divisor = count if mean else 1
    wide = accumulator_dtype(a.dtype)
    shape = tuple([1 if i in axes else n for i, n in enumerate(a.shape)])
    total = _sum(a, axes, keepdims) / wide.type(divisor)  # NaN is the mean of nothing
    full = a.shape

    def backward(grad: Array) -> Sequence[Any]:
        xp = kernels.xp(grad)
        share = (_wide(grad.reshape(shape)) / wide.type(max(1, divisor))).astype(grad.dtype)
        return (xp.array(xp.broadcast_to(share, full), order="C"),)

    return kernels.xp(a).asarray(total, a.dtype), backward


def reshape(a: Array, shape: Any) -> Result:
    """The same elements in another shape; a view where the strides allow it."""
    try:
        y = a.reshape(shape)
    except (TypeError, ValueError, OverflowError):
        raise ShapeError(
            f"shape: got {shown(shape)}, expected sizes whose product is {a.size}, as of {a.shape}"
        ) from None
    before = a.shape
    return y, lambda grad: (grad.reshape(before),)


def permute(a: Array, axes: Any) -> Result:
    """A view with its axes in another order."""
    try:
        y = a.transpose(axes)
    except (TypeError, ValueError, OverflowError):  # NumPy's AxisError is a ValueError
        wanted = f"each of 0 to {a.ndim - 1} once"
        raise ShapeError(f"axes: got {shown(axes)}, expected {wanted}") from None
    order = [i % a.ndim for i in axes]
    back = [order.index(i) for i in range(a.ndim)]
    return y, lambda grad: (kernels.xp(grad).asarray(grad.transpose(back), order="C"),)


def transpose(a: Array, dim0: int, dim1: int) -> Result:
    """A view in which two axes have changed places."""
    first, second = (_axes(as_index("axis", dim), a.ndim)[0] for dim in (dim0, dim1))
    axes = [*range(a.ndim)]
    axes[first], axes[second] = second, first
    return permute(a, axes)


def _pair(symbol: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Both sides, checked: an array and an array of its type, or an array and a number.

    Arrays of whole numbers and of bools count as numbers beside an array of floats, and arrays of
    the host are taken to those of a device.
    """
    first, second = _side(symbol, a), _side(symbol, b)
    floats = [x for x in (first, second) if _is_array(x) and x.dtype in FLOATS]
    if not floats:
        check_array(symbol, first if _is_array(first) else second)
    like = max(floats, key=lambda x: kernels.xp(x) is not np)
    for x in floats[1:]:
        if x.dtype != like.dtype:
            raise DTypeError(
                f"{symbol}: got {first.dtype} and {second.dtype}, expected one type; "
                "convert one of them with astype"
            )
    sides = [
        kernels.asarray(x, like).astype(like.dtype, copy=False) if _is_array(x) else x
        for x in (first, second)
    ]
    try:
        np.broadcast_shapes(*[x.shape for x in sides if _is_array(x)])
    except ValueError:
        raise ShapeError(
            f"{symbol}: got shapes {first.shape} and {second.shape}, which do not broadcast"
        ) from None
    return sides[0], sides[1]


def _side(symbol: str, x: Any) -> Any:
    if isinstance(x, (int, float, np.generic)) and not isinstance(x, bool):
        is_float = isinstance(x, np.generic) and x.dtype in FLOATS  # bfloat16's are no np.floating
        return check_number(symbol, float(x) if is_float else x)
    if not _is_array(x):
        raise DTypeError(f"{symbol}: got {shown(x)}, expected a Tensor, a number or an array")
    if x.dtype.kind not in "iub":
        check_array(symbol, x)
    return x


def _is_array(x: Any) -> bool:
    return hasattr(x, "dtype")


def _wide(x: Any) -> Any:
    """An array in the type in which it is computed; numbers as they are."""
    return x.astype(accumulator_dtype(x.dtype), copy=False) if _is_array(x) else x


@_quiet
def _rounded(operation: Callable[..., Any], *sides: Any) -> Array:
    """An operation on the sides as computed, rounded to their type."""
    like = next(x for x in sides if _is_array(x))
    y = operation(*map(_wide, sides))
    return kernels.xp(y).asarray(y, like.dtype)  # an array where NumPy makes a number


def _back_to(x: Any) -> Callable[[Array], Any]:
    """From a gradient of what `x` was broadcast to, to that of `x`; None for a number."""
    if not _is_array(x):
        return lambda grad: None
    shape, dtype = x.shape, x.dtype

    def summed(grad: Array) -> Array:
        ahead = grad.ndim - len(shape)
        axes = [*range(ahead)]
        axes += [i + ahead for i, n in enumerate(shape) if n == 1 and grad.shape[i + ahead] != 1]
        total = _sum(grad, tuple(axes), False).reshape(shape) if axes else grad
        return kernels.xp(total).asarray(total, dtype)

    return summed


def _sum(x: Array, axes: Sequence[int], keepdims: bool) -> Array:
    return x.sum(axis=tuple(axes), dtype=accumulator_dtype(x.dtype), keepdims=keepdims)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes from 0, each once."""
    if axis is None:
        return tuple(range(ndim))
    try:
        wanted = [operator.index(i) for i in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    except TypeError:
        raise DTypeError(f"axis: got {shown(axis)}, expected whole numbers") from None
    if any(not -ndim <= i < ndim for i in wanted) or len({i % ndim for i in wanted}) < len(wanted):
        raise ShapeError(f"axis: got {shown(axis)}, expected each of {-ndim} to {ndim - 1} once")
    return tuple([i % ndim for i in wanted])


def _index(a: Array, where: Any) -> tuple[Any, ...]:
    """What to index `a` with, arrays in it as arrays of its kind."""
    parts = where if isinstance(where, tuple) else (where,)
    return tuple([_index_part(a, part) for part in parts])


def _index_part(a: Array, part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (int, slice)):
        return part
    if isinstance(part, list):
        part = kernels.array_of(part) if part else kernels.array_of(part).astype(np.int64)
    if not _is_array(part):
        try:
            return operator.index(part)
        except TypeError:
            raise DTypeError(
                f"index: got {shown(part)}, expected whole numbers, slices or integer arrays"
            ) from None
    if part.dtype.kind not in "iub":
        raise ConfigError(f"index: got dtype {part.dtype}, expected whole numbers or bools")
    return kernels.asarray(part, a)
