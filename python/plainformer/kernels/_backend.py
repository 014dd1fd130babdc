"""Kinds of arrays: which compiled module serves one, and which array module made it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from .. import _cpu
from ..errors import DeviceError, DTypeError

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
    kind = _kinds.get(type(array))
    if kind is not None:
        return kind
    if isinstance(array, np.ma.MaskedArray):
        raise DTypeError(f"{name}: got a masked array, whose mask kernels do not see; fill it")
    if isinstance(array, np.ndarray) and not isinstance(array, np.matrix):  # has ways of its own
        return _NUMPY
    name_of_kind = f"{type(array).__module__}.{type(array).__qualname__}"
    cupy = sys.modules.get("cupy")  # never imported here: who holds an array of it did
    if name_of_kind.startswith("cupy.") and cupy is not None:
        return Kind(None, cupy, cupy.asnumpy)
    raise DTypeError(
        f"{name}: got {name_of_kind}, expected a NumPy array; convert it with numpy.asarray"
    )
