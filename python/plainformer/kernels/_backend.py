"""Which compiled module serves which array."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

from .. import _cpu
from ..errors import DeviceError, DTypeError

_cpu.set_bfloat16_dtype(np.dtype(ml_dtypes.bfloat16))


def backend(name: str, array: Any) -> ModuleType:
    """The compiled module for `array`; an argument of another kind is a DTypeError naming it."""
    if type(array) is np.ndarray or isinstance(array, np.memmap):
        return _cpu
    if isinstance(array, np.ma.MaskedArray):
        raise DTypeError(f"{name}: got a masked array, whose mask kernels do not see; fill it")
    if isinstance(array, np.ndarray) and not isinstance(array, np.matrix):  # has ways of its own
        return _cpu
    kind = f"{type(array).__module__}.{type(array).__qualname__}"
    if kind.startswith("cupy."):
        raise DeviceError(
            f"{name}: got a CuPy array, but this build has only CPU kernels; "
            "copy it to the host with cupy.asnumpy"
        )
    raise DTypeError(f"{name}: got {kind}, expected a NumPy array; convert it with numpy.asarray")
