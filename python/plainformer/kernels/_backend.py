"""Kinds of arrays: which compiled module serves one, whose it is, and how to copy it to another."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _cpu
from ..errors import DTypeError, ShapeError, shown
from ._cupy import ForeignKind, cupy_kind, is_foreign, load_cupy
from ._devices import Device, Kind, bfloat16

_cpu.set_bfloat16_dtype(bfloat16)

_NUMPY = Kind(_cpu, np)
_kinds: dict[type, Kind] = {np.ndarray: _NUMPY, np.memmap: _NUMPY}
_of_devices: dict[str, Callable[[], Kind]] = {"cpu": lambda: _NUMPY, "cuda": load_cupy}


def register_kind(array_type: type, kind: Kind) -> None:
    """Let arrays of this class be served from now on: what a second backend does when it loads."""
    _kinds[array_type] = kind


def kind_at(device_type: str) -> Kind:
    """The kind of arrays on devices of this type; DeviceError where what they need is missing."""
    return _of_devices[device_type]()


def kinds() -> list[Kind]:
    """The kinds that are served, each once."""
    return list({id(kind): kind for kind in _kinds.values()}.values())


def backend(name: str, array: Any) -> Any:
    """The compiled module for `array`; an argument of another kind is a DTypeError naming it."""
    if type(array) is np.ndarray:  # most often
        return _cpu
    return kind_of(name, array).kernels(name)


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
        kind = cupy_kind(cupy)
        if kind.compiled is not None:
            register_kind(type(array), kind)
        return kind
    return ForeignKind(kind_at("cuda")) if is_foreign(array) else None


def native(name: str, array: Any) -> Any:
    """The array, or CuPy's view of one that another library has on a GPU."""
    return array if type(array) in _kinds else kind_of(name, array).native(name, array)


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
    like : array that says which, and on which device
    name : what an error calls x

    Returns
    -------
    y : x itself where it is there, else a copy with its shape and dtype; of an array that was
        `frozen` the same copy each time

    Raises
    ------
    DTypeError : one of the two is no array of a known kind
    """
    if type(x) is np.ndarray is type(like):  # most often
        return x
    wanted, found = kind_of("like", like), _NUMPY if isinstance(x, np.generic) else kind_of(name, x)
    if found is wanted and (wanted is _NUMPY or wanted.device_of(x) == wanted.device_of(like)):
        return x
    device = wanted.device_of(like)
    if found is _NUMPY and isinstance(x, np.ndarray) and _is_frozen(x):
        return _copy_of(x, wanted, device)
    return moved(x, found, wanted, device)


def frozen(array: Any) -> Any:
    """The array, or a copy where it is a view, never to be written again: many layers may ask for
    it on a device, and it is copied there once. Arrays of a device are as they were."""
    if type(array) is not np.ndarray:
        return array
    if array.base is not None:  # through which it may still be written
        array = array.copy()
    array.flags.writeable = False
    return array


_copies: dict[
    int, tuple[Any, dict[tuple[Kind, Device], Any]]
] = {}  # of frozen arrays, by id, while they live


def _is_frozen(array: np.ndarray) -> bool:
    return array.base is None and not array.flags.writeable


def _copy_of(array: np.ndarray, kind: Kind, device: Device) -> Any:
    """The one copy of a frozen array on a device."""
    known = _copies.get(id(array))
    if known is None or known[0]() is not array:
        number = id(array)
        known = weakref.ref(array, lambda _: _copies.pop(number, None)), {}
        _copies[number] = known
    copies = known[1]
    if (kind, device) not in copies:
        copies[kind, device] = kind.from_host(array, device.index)
    return copies[kind, device]


def moved(x: Any, found: Kind, wanted: Kind, device: Device) -> Any:
    """A copy of an array of one kind as an array of another, or on another device."""
    host: Any = x if isinstance(x, np.generic) else found.to_host(x)
    return np.asarray(host) if wanted is _NUMPY else wanted.from_host(host, device.index)


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
