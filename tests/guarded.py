"""Arrays that end where readable memory ends: one byte too far and the process dies."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

PROT_NONE = 0


def guarded(array):
    """A copy of `array` whose last byte is the last one before an inaccessible page."""
    page = mmap.PAGESIZE
    whole = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, whole + page)
    raw = np.frombuffer(memory, np.uint8)
    address = ctypes.c_void_p(raw.ctypes.data + whole)
    if ctypes.CDLL(None, use_errno=True).mprotect(address, ctypes.c_size_t(page), PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect")
    copy = raw[whole - array.nbytes : whole].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
