"""What all operations share: arguments that are what they should be, or are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy import ndarray

from .. import kernels
from ..errors import DTypeError, ShapeError, shown
from ..kernels._arrays import check_array, check_ids, defers
from ..tensor import Array, Tensor


def data_of(name: str, x: Tensor) -> Array:
    """The array of a Tensor.

    Raises
    ------
    DTypeError : it is none
    """
    if not isinstance(x, Tensor):
        hint = "; Tensor(array) makes one" if hasattr(x, "dtype") else ""
        raise DTypeError(f"{name}: got {type(x).__name__}, expected a Tensor{hint}")
    return x.data


def data_or_none(name: str, x: Tensor | None) -> Array | None:
    """The array of a Tensor that may be absent."""
    return x.data if isinstance(x, Tensor) else None if x is None else data_of(name, x)


def beside(name: str, array: Any, x: Array) -> Array:
    """Ids, labels, borders or numbers as an array of the kind of `x`; they may come from the host.

    Raises
    ------
    DTypeError : it is no array
    """
    return array if type(array) is type(x) else kernels.asarray(array, x, name=name)


def ids_beside(
    name: str, ids: Any, x: Array, limit: int, *, ignore_index: int | None = None
) -> Array:
    """Ids or labels as `beside`; those of the host are checked before they go to a device, whose
    kernels would tell later.

    Raises
    ------
    ShapeError, DTypeError : as `check_ids`
    """
    if type(ids) is ndarray and type(x) is not ndarray and defers(x):
        check_ids(name, ids, limit, ignore_index=ignore_index)
    return beside(name, ids, x)


def floats_of(name: str, x: Tensor) -> Array:
    """The array of a Tensor for arithmetic of its module: float32, bfloat16 or float64."""
    array = data_of(name, x)
    check_array(name, array)
    return array


def all_data(name: str, xs: Sequence[Tensor]) -> list[Array]:
    """The arrays of Tensors, at least one."""
    if not isinstance(xs, (list, tuple)) or not xs:
        raise DTypeError(f"{name}: got {shown(xs)}, expected a list of Tensors, at least one")
    return [data_of(f"{name}[{i}]", x) for i, x in enumerate(xs)]


def last_size(name: str, array: Array) -> int:
    """The size of the last axis."""
    if not array.ndim:
        raise ShapeError(f"{name}: got a single number, expected at least 1 axis")
    return array.shape[-1]
