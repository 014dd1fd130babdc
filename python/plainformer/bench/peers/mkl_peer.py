"""MKL, by the wheel `mkl`: what a NumPy that is built on it would call for matrix products."""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_float, c_int, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from ..case import Case
from . import Call, Ways, instructions

WAYS = Ways("float32")
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112


def _library() -> Any:
    """The dispatching library of this interpreter's environment, over its threads' library."""
    folder = Path(sys.prefix) / "lib"
    for name in ("libiomp5.so", "libmkl_rt.so*"):
        found = sorted(folder.glob(name))
        if not found:
            raise ImportError(f"no {name} in {folder}: pip install mkl")
        library = ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)
    return library


_mkl = _library()
_mkl.cblas_sgemm.argtypes = [
    *[c_int] * 6, c_float, c_void_p, c_int, c_void_p, c_int, c_float, c_void_p, c_int
]  # fmt: skip
_mkl.cblas_sgemm.restype = None


def describe() -> dict[str, Any]:
    """What it prints of itself."""
    heading = instructions.printed(_one_product)
    return {
        "mkl": " ".join(heading.split()[1:6]),
        "instructions": {"MKL": instructions.level_of_mkl(heading)},
    }


def _one_product() -> None:
    array = np.ones((64, 64), np.float32)
    _mkl.MKL_Verbose(1)
    _product(False, False, array, array, np.empty_like(array))()
    _mkl.MKL_Verbose(0)


def set_threads(threads: int) -> None:
    """Of its own pool."""
    _mkl.MKL_Set_Num_Threads(threads)


def _product(transpose_a: bool, transpose_b: bool, a: Any, b: Any, out: Any) -> Call:
    forms = [_TRANSPOSED if is_so else _PLAIN for is_so in (transpose_a, transpose_b)]
    (M, N), K = out.shape, a.shape[0 if transpose_a else 1]
    sizes = _ROW_MAJOR, *forms, M, N, K
    at_a, at_b, at_out = (x.ctypes.data_as(c_void_p) for x in (a, b, out))  # they keep the arrays
    rows = a.shape[1], b.shape[1]

    def call() -> Any:
        _mkl.cblas_sgemm(*sizes, 1.0, at_a, rows[0], at_b, rows[1], 0.0, at_out, N)
        return out

    return call


@WAYS("gemm", "nn", "nt", "tn")
def gemm(case: Case, a: Any, b: Any) -> Call:
    out = np.empty(case.sizes("M", "N"), np.float32)
    return _product(case.variant == "tn", case.variant == "nt", a, b, out)
