"""Checks and views shared by all kernels: the slow path behind every compiled function.

A compiled function takes the canonical case and returns None for anything else, or raises TypeError
for an option of another kind. The wrapper then calls these helpers, which raise the one clear
error, or copy a strided last axis (counted in `copies`), and tries again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import ConfigError, DeviceError, DTypeError, PlainformerError, ShapeError, shown
from ..kinds import as_index
from ._backend import backend, find_kind, kind_of, native, xp
from ._devices import Kind, bfloat16, float16, float32, float64

# An array of any kind: what comes out is of the kind that came in.
Array = TypeVar("Array", bound=Any)

FLOATS = (float32, bfloat16, float64, float16)
"""What is computed with; each kind of arrays has kernels for three (`kind.floats`)."""
IDS = (np.dtype(np.int32), np.dtype(np.int64))


def accumulator_dtype(dtype: np.dtype) -> np.dtype:
    """The type in which sums, statistics and losses of `dtype` are kept."""
    return float64 if dtype == float64 else float32


MOST_AXES = 8
"""How many axes a compiled function takes: `ArrayView::max_ndim` of plainformer/view.h."""

LARGEST_SIZE = (1 << 62) - 1
"""What a size is at most, so that the sum of two fits 64 bits."""

copies = 0
"""How many arrays were copied because their last axis was strided or unaligned."""


def check_array(name: str, array: Any, dtypes: Sequence[np.dtype] | None = None) -> None:
    """Raise unless `array` is an array of a backend with one of `dtypes`, by default the float
    types of its kernels, in native byte order, and has at most 8 axes."""
    backend(name, array)
    kind, array = kind_of(name, array), native(name, array)
    dtypes = kind.floats if dtypes is None else dtypes
    if array.dtype not in dtypes or not array.dtype.isnative:
        wanted = " or ".join(dict.fromkeys(map(str, dtypes)))
        hint = _dtype_hint(name, array.dtype, kind)
        raise DTypeError(f"{name}: got dtype {array.dtype}, expected {wanted}{hint}")
    if array.ndim > MOST_AXES:
        raise ShapeError(
            f"{name}: got {array.ndim} axes, expected at most {MOST_AXES}; reshape the leading ones"
        )


def float_types(array: Any) -> tuple[np.dtype, ...]:
    """The float types that the kernels of an array's kind have."""
    return kind_of("x", array).floats


def _dtype_hint(name: str, dtype: np.dtype, kind: Kind) -> str:
    own = f"{name}." if name.partition("[")[0].isidentifier() else ""
    if dtype in (float16, float64) and dtype not in kind.floats:
        others = "bfloat16 or float32" if dtype == float16 else "float32"
        return f"; {kind.type.upper()} kernels have no {dtype}, use {others}"
    return f"; convert it with {own}astype(...)"


def holds_numbers(x: Any) -> bool:
    """Whether `x` is an array of numbers or bools, which another float type can hold."""
    is_array = find_kind(x) is not None or isinstance(x, np.generic)
    return is_array and x.dtype.kind in "biufV"  # V is bfloat16


def check_same_dtype(**arrays: Any) -> None:
    """Raise unless all arrays that are not None have the dtype of the first, and are beside it."""
    given = ((n, a) for n, a in arrays.items() if a is not None)
    (first, reference), *rest = (
        (n, native(n, a) if hasattr(a, "__dlpack__") else a) for n, a in given
    )
    for name, array in rest:
        if array.dtype != reference.dtype:
            raise DTypeError(
                f"{name}: got dtype {array.dtype}, expected {reference.dtype} like {first}; "
                "kernels never promote"
            )
    check_same_device(**arrays)


def check_same_device(**arrays: Any) -> None:
    """Raise unless all arrays that are not None live where the first does."""
    places = {n: kind_of(n, a).device_of(a) for n, a in arrays.items() if hasattr(a, "strides")}
    for name, place in places.items():
        first = next(iter(places))
        if place != places[first]:
            raise DeviceError(
                f"{name}: got an array on {place}, expected one on {places[first]} like {first}; "
                "kernels.asarray copies one beside another"
            )


def check_shape(shape: Sequence[int], **arrays: Any) -> None:
    """Raise unless every array that is not None has exactly `shape`."""
    for name, array in arrays.items():
        if array is not None and array.shape != tuple(shape):
            raise ShapeError(f"{name}: got shape {array.shape}, expected {tuple(shape)}")


def check_alike(**arrays: Any) -> None:
    """Raise unless all are arrays with the dtype and the shape of the first."""
    first = next(iter(arrays.values()))
    for name, array in arrays.items():
        check_array(name, array)
    check_same_dtype(**arrays)
    check_shape(first.shape, **arrays)


def check_ndim(name: str, array: Any, least: int) -> None:
    """Raise unless the array has at least `least` axes."""
    if array.ndim < least:
        raise ShapeError(
            f"{name}: got shape {array.shape}, expected at least {least} "
            f"{'axis' if least == 1 else 'axes'}"
        )


def check_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a float within [low, high]; NaN and anything that is no number is an error."""
    if type(value) is float and low <= value <= high:
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise DTypeError(f"{name}: got {shown(value)}, expected a number")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond a float
        number = math.nan
    if low <= number <= high:
        return number
    raise ConfigError(f"{name}: got {shown(value)}, expected a number from {low} to {high}")


def check_size(name: str, value: Any, least: int = 0, most: float = LARGEST_SIZE) -> int:
    """`value` as an int of at least `least` and at most `most`."""
    size = value if type(value) is int else as_index(name, value)
    if size < least:
        raise ShapeError(f"{name}: got {shown(size)}, expected at least {least}")
    if size > most:
        raise ShapeError(f"{name}: got {shown(size)}, expected at most {most}")
    return size


def check_flag(name: str, value: Any) -> bool:
    """`value` as True or False; numbers and texts, which are true as well, are an error."""
    if value is True or value is False:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    raise DTypeError(f"{name}: got {shown(value)}, expected True or False")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise unless `value` is one of `choices`."""
    if not isinstance(value, (str, int, type(None))) or value not in choices:
        wanted = ", ".join(map(shown, choices))
        raise ConfigError(f"{name}: got {shown(value)}, expected one of {wanted}")


def check_writable(name: str, array: Any, shape: Sequence[int], dtype: np.dtype) -> None:
    """Raise unless a kernel can write `array`: right shape and dtype, writable, contiguous."""
    check_array(name, array, (dtype,))
    check_shape(shape, **{name: array})
    if not is_writable(array):
        raise ConfigError(f"{name}: got a read-only array, expected a writable one")
    if not array.flags.c_contiguous:
        raise ShapeError(f"{name}: got a strided array, expected a contiguous one")
    check_aligned(name, array)


def is_writable(array: Any) -> bool:
    """Whether an array may be written; on a device nothing is protected."""
    return getattr(array.flags, "writeable", True)


def is_aligned(array: Any) -> bool:
    """Whether each element stands on a multiple of its size, as on a device always."""
    return getattr(array.flags, "aligned", True)


def check_aligned(name: str, array: Any) -> None:
    """Raise unless each element stands on a multiple of its size."""
    if not is_aligned(array) or any(step % array.itemsize for step in array.strides):
        raise ShapeError(f"{name}: got an unaligned array, expected an aligned one")


def check_apart(outputs: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Raise where an output is not beside the inputs, or shares memory with one, which is never
    written, or with another output. The compiled functions judge, by elements: views that lie
    between each other, such as queries, keys and values of one packed array, share nothing."""
    check_same_device(**inputs, **outputs)
    others = {name: array for name, array in inputs.items() if array is not None}
    for name, out in outputs.items():
        if out is None:
            continue
        shares_memory = backend(name, out).shares_memory
        for other, array in others.items():
            if shares_memory(out, array):
                raise ConfigError(
                    f"{name}: shares memory with {other}, expected an array of its own"
                )
        others[name] = out


def check_out(out: Any, shape: Sequence[int], dtype: np.dtype, **inputs: Any) -> None:
    """Raise unless `out` can be written (`check_writable`) and shares no memory with an input."""
    check_writable("out", out, shape, dtype)
    check_apart({"out": out}, inputs)


def defers(array: Any) -> bool:
    """Whether the kernels check the values of such an array themselves, and tell later."""
    return type(array) is not np.ndarray and kind_of("x", array).defers


def empty_like(array: Any) -> Any:
    """An array of that shape and dtype, row-major, not initialized."""
    module = backend("x", array)
    if hasattr(module, "empty_bytes"):  # memory that is kept for the next output
        return module.empty_bytes(array.nbytes).view(array.dtype).reshape(array.shape)
    return xp(array).empty(array.shape, array.dtype)


def largest(values: Any, least: int = 0) -> int:
    """The largest of some whole numbers, or `least`, which is at most it, if there are none."""
    return max(least, int(values.max())) if values.size else least


def computed(result: Any) -> Any:
    """What a compiled function returned after all checks had passed: then it refuses nothing that
    has not been changed by another thread in between."""
    if result is None:
        raise PlainformerError(
            "the arrays were refused though each passed its checks: did another thread change one "
            "during the call? If none did, please report this"
        )
    return result


def readable(array: Any) -> Any:
    """The array itself if its strides are whole elements, else a counted copy."""
    global copies
    array = native("array", array)
    if is_aligned(array) and all(s % array.itemsize == 0 for s in array.strides):
        return array
    copies += 1
    return array.copy(order="C")


def unit_last_axis(array: Any) -> Any:
    """The array itself if its last axis can be walked by plain loads, else a counted copy."""
    global copies
    array = readable(array)
    if array.ndim == 0 or array.shape[-1] <= 1 or array.strides[-1] == array.itemsize:
        return array
    copies += 1
    return array.copy(order="C")


def contiguous(array: Any) -> Any:
    """The array itself if it is row-major without gaps, else a counted copy. None stays None."""
    global copies
    array = None if array is None else native("array", array)
    if array is None or (array.flags.c_contiguous and is_aligned(array)):
        return array
    copies += 1
    return array.copy(order="C")


def check_ids(name: str, ids: Any, limit: int, *, ignore_index: int | None = None) -> None:
    """Raise unless `ids` is an int32 or int64 array of values in [0, limit) or `ignore_index`.

    On a device the values are the kernel's to check, which does not wait for them."""
    check_array(name, ids, IDS)
    if defers(ids):
        return
    bad = (ids < 0) | (ids >= limit)
    if ignore_index is not None:
        bad &= ids != ignore_index
    if bad.any():
        at = tuple(int(i) for i in xp(bad).argwhere(bad)[0])
        but = "" if ignore_index is None else f" or ignore_index {ignore_index}"
        raise ShapeError(f"{name}: got {int(ids[at])} at {at}, expected 0 to {limit - 1}{but}")
