"""BLIS, by the wheel `blis`: matrix products of one thread, for it has no more."""

from __future__ import annotations

import ctypes
import importlib.metadata
from pathlib import Path
from typing import Any

import blis.py
import numpy as np

from ..case import Case
from . import Call, Ways

WAYS = Ways("float32")
# Its names of kernels, by the widest instructions they use; another one is not known here.
_LEVELS = {
    "generic": "generic penryn sandybridge bulldozer piledriver",
    "avx2": "haswell excavator steamroller zen zen2 zen3",
    "avx512": "skx zen4 zen5 knl",
}


def describe() -> dict[str, Any]:
    """Version, and the kernels it chose."""
    architecture = _architecture()
    level = next((k for k, names in _LEVELS.items() if architecture in names.split()), None)
    return {
        "blis": importlib.metadata.version("blis"),
        "kernels": architecture,
        "threads": 1,
        "instructions": {"BLIS": level},
    }


def _architecture() -> str:
    """What its own functions say; the library is a Python module as well."""
    for path in Path(blis.py.__file__).parent.glob("cy*.so"):
        library = ctypes.CDLL(str(path))
        library.bli_arch_string.restype = ctypes.c_char_p
        return library.bli_arch_string(library.bli_arch_query_id()).decode()
    return "unknown"


def set_threads(threads: int) -> None:
    """BLIS_NUM_THREADS says it, to builds that have threads."""


@WAYS("gemm", "nn", "nt", "tn")
def gemm(case: Case, a: Any, b: Any) -> Call:
    forms = {"trans1": case.variant == "tn", "trans2": case.variant == "nt"}
    out = np.empty(case.sizes("M", "N"), np.float32)
    return lambda: blis.py.gemm(a, b, out=out, beta=0.0, **forms)
