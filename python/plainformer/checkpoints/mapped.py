"""Arrays that are views of a mapped file: how their memory is let go."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np


def release_pages(array: Any) -> None:
    """Let the memory of a read-only mapped array go; the file gives it back when it is read.

    Nothing happens to any other array, nor where the system knows no such advice.
    """
    if not isinstance(array, np.ndarray):
        return
    mapping = _mapping_behind(array)
    if mapping is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
    begin = array.__array_interface__["data"][0] - start
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (begin + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if first < last:
        mapping.madvise(mmap.MADV_DONTNEED, first, last - first)


def _mapping_behind(array: np.ndarray) -> mmap.mmap | None:
    """The mapping that a contiguous array is a view of, if nobody can write through it."""
    if not array.flags.forc:
        return None
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    mapping = base.obj if isinstance(base, memoryview) else base
    if isinstance(mapping, mmap.mmap) and memoryview(mapping).readonly:
        return mapping
    return None
