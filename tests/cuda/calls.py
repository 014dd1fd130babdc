"""Kernels on the emulated device with NumPy arrays in and out."""

import ml_dtypes
import numpy as np

from plainformer import kernels
from tests.emulated import to_device

DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
SHORT = ("bfloat16", "float16")
"""The types of tensor cores."""

# Orders of threads and what memory holds before: all must give the same bytes.
ORDERS = [("fifo", 0xFF), ("lifo", 0x7E), ("1", 0xFF), ("2", 0x7E), ("3", 0xFF), ("4", 0xFF)]


def to_kernel(x):
    """NumPy arrays, also within tuples, as the device's."""
    if isinstance(x, tuple):
        return tuple(map(to_kernel, x))
    return to_device(x) if isinstance(x, np.ndarray) else x


def to_host(result):
    """A kernel's result, or each of its results, as NumPy arrays."""
    if isinstance(result, tuple):
        return tuple(kernels.asnumpy(y) for y in result)
    return kernels.asnumpy(result)


def on_device(function, *arrays, **options):
    """What the kernel returns."""
    options = {name: to_kernel(x) for name, x in options.items()}
    return to_host(function(*map(to_kernel, arrays), **options))
