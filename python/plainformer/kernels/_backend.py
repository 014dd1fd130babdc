"""Kinds of arrays: which compiled module serves one, whose it is, and how to copy it to another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from .. import _cpu
from ..errors import DeviceError, DTypeError, ShapeError, shown

_cpu.set_bfloat16_dtype(np.dtype(ml_dtypes.bfloat16))


class Kind(NamedTuple):
    """A kind of arrays: its kernels (None where this build has none), its array module, and how
    one is copied to the host."""

    compiled: Any
    module: Any
    to_host: Callable[[Any], Any]


_NUMPY = Kind(_cpu, np, np.asarray)
_kinds: dict[type, Kind] = {np.ndarray: _NUMPY, np.memmap: _NUMPY}


def register_kind(array_type: type, kind: Kind) -> None:
    """Let arrays of this class be served from now on: what a second backend does when it loads."""
    _kinds[array_type] = kind


def backend(name: str, array: Any) -> ModuleType:
    """The compiled module for `array`; an argument of another kind is a DTypeError naming it."""
    if type(array) is np.ndarray:  # most often
        return _cpu
    compiled = kind_of(name, array).compiled
    if compiled is None:
        raise DeviceError(
            f"{name}: got a CuPy array, but this build has only CPU kernels; "
            "copy it to the host with cupy.asnumpy"
        )
    return compiled


def kind_of(name: str, array: Any) -> Kind:
    """The kind of `array`; what is no array of any is a DTypeError naming it."""
    kind = find_kind(array)
    if kind is not None:
        return kind
    if isinstance(array, np.ma.MaskedArray):
        raise DTypeError(f"{name}: got a masked array, whose mask kernels do not see; fill it")
    got = f"{type(array).__module__}.{type(array).__qualname__}"
    raise DTypeError(f"{name}: got {got}, expected a NumPy array; convert it with numpy.asarray")


def find_kind(array: Any) -> Kind | None:
    """The kind of `array`, None for what is no array of any."""
    kind = _kinds.get(type(array))
    if kind is not None:
        return kind
    if isinstance(array, np.ndarray):  # a masked array or a matrix has ways of its own
        return None if isinstance(array, (np.ma.MaskedArray, np.matrix)) else _NUMPY
    cupy = sys.modules.get("cupy")  # never imported here: who holds an array of it did
    if cupy is not None and type(array).__module__.partition(".")[0] == "cupy":
        return Kind(None, cupy, cupy.asnumpy)
    return None


def xp(x: Any) -> Any:
    """The module whose functions take and make arrays of the kind of `x`: NumPy or CuPy.

    Code that may meet either writes `xp(x).where(...)` in the place of `np.where(...)`.

    Parameters
    ----------
    x : array; of a Tensor pass `data`

    Returns
    -------
    xp : module; CuPy is never imported from here, for whoever has an array of it did

    Raises
    ------
    DTypeError : x is no array of a known kind
    """
    if type(x) is np.ndarray or isinstance(x, np.generic):
        return np
    return kind_of("x", x).module


def asarray(x: Any, like: Any, *, name: str = "x") -> Any:
    """`x` as an array of the kind of `like`, copied between host and device where it must be.

    Parameters
    ----------
    x : array of any kind
    like : array that says which
    name : what an error calls x

    Returns
    -------
    y : x itself where it is of that kind, else a copy with its shape and dtype

    Raises
    ------
    DTypeError : one of the two is no array of a known kind
    """
    if type(x) is type(like):
        return x
    wanted, found = kind_of("like", like), _NUMPY if isinstance(x, np.generic) else kind_of(name, x)
    return x if found.module is wanted.module else wanted.module.asarray(found.to_host(x))


def array_of(x: Any) -> Any:
    """What a user gave for an array: arrays of any kind as they are, lists and numbers as NumPy's.

    Parameters
    ----------
    x : array, or anything that `numpy.asarray` takes

    Returns
    -------
    y : array

    Raises
    ------
    ShapeError : lists of several lengths
    """
    if find_kind(x) is not None:
        return x
    try:
        return np.asarray(x)
    except (TypeError, ValueError, OverflowError):
        raise ShapeError(f"x: got {shown(x)}, expected an array or lists of one length") from None


def asnumpy(x: Any) -> np.ndarray:
    """`x` as a NumPy array: itself where it is one, else a copy on the host.

    Parameters
    ----------
    x : array of any kind

    Raises
    ------
    DTypeError : x is no array of a known kind
    """
    return x if xp(x) is np else kind_of("x", x).to_host(x)
