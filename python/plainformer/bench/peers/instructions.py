"""Which vector instructions the libraries of this process use, in the words of `levels.ORDER`.

They are asked themselves: by their functions where they have such, otherwise by what they print
about themselves when they are told to be verbose.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Words of what libraries print, the most telling first: the first that is found counts.
_PRINTED = (
    (r"AMX", "amx"),
    (r"bfloat16|BF16|avx512_core_bf16", "avx512bf16"),
    (r"AVX-?_?512", "avx512"),
    (r"AVX2|Advanced Vector Extensions 2", "avx2"),
    (r"SSE|AVX\b|Advanced Vector Extensions\b|GENERIC|default|Streaming SIMD", "generic"),
)
_OPENBLAS = {
    "generic": "prescott core2 penryn dunnington nehalem westmere sandybridge bulldozer piledriver",
    "avx2": "haswell broadwell excavator steamroller zen",
    "avx512": "skylakex",
    "avx512bf16": "cooperlake",
    "amx": "sapphirerapids",
}


def level_of_text(text: str) -> str | None:
    """The level that a library's own words name."""
    return next((level for word, level in _PRINTED if re.search(word, text, re.I)), None)


def printed(call: Callable[[], Any]) -> str:
    """What `call` writes to the standard output and error of the process, C code included."""
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        try:
            for target in (1, 2):
                os.dup2(file.fileno(), target)
            call()
            ctypes.CDLL(None).fflush(None)
        finally:
            for target, source in zip((1, 2), kept):
                os.dup2(source, target)
                os.close(source)
        file.seek(0)
        return file.read()


def of_numpy() -> dict[str, str | None]:
    """NumPy's loops, and the kernels that its OpenBLAS chose (None for another BLAS)."""
    modules = ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath")  # NumPy 2 and 1
    core: Any = next(sys.modules[name] for name in modules if name in sys.modules)
    on = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    own = "generic"
    if any(name in ("AVX2", "FMA3", "X86_V3") for name in on):
        own = "avx2"
    if any(name.startswith(("AVX512", "X86_V4")) for name in on):
        own = "avx512"
    folder = Path(np.__file__).parents[1] / "numpy.libs"
    return {"NumPy": own, "its BLAS": level_of_openblas(folder)}


def level_of_openblas(folder: Path) -> str | None:
    """Of the OpenBLAS that a wheel brings in `folder`; None where there is none."""
    for path in sorted(folder.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_"):
            if hasattr(library, name):
                ask = getattr(library, name)
                ask.restype = ctypes.c_char_p
                return level_of_core(ask().decode())
    return None


def level_of_core(core: str) -> str | None:
    """The level of OpenBLAS's kernels for a kind of processor."""
    return next((k for k, names in _OPENBLAS.items() if core.lower() in names.split()), None)


def of_torch() -> dict[str, str | None]:
    """ATen's loops, oneDNN and, where torch has it, MKL: the latter two by what they print."""
    import torch

    aten = torch.backends.cpu.get_cpu_capability()
    used = {"ATen": level_of_text(aten)}
    if torch.backends.mkldnn.is_available():
        used["oneDNN"] = _level_in(r"cpu,isa:(.*)", printed(_one_of_onednn))
    if torch.backends.mkl.is_available():
        used["MKL"] = level_of_mkl(printed(_one_of_mkl))
    return used


def level_of_mkl(text: str) -> str | None:
    """By its verbose heading. "Architecture processors" is its code for others than Intel's: its
    `def` library, whose widest kernels are AVX2's."""
    heading = next((x for x in text.splitlines() if x.startswith("MKL_VERBOSE") and "MKL" in x), "")
    return level_of_text(heading) or ("avx2" if "Architecture processors" in heading else None)


def _level_in(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return level_of_text(found.group(1)) if found else None


def _one_of_onednn() -> None:
    import torch

    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON), torch.no_grad():
        torch.ones(4, 4).to_mkldnn().to_dense()


def _one_of_mkl() -> None:
    import torch

    with torch.backends.mkl.verbose(torch.backends.mkl.VERBOSE_ON), torch.no_grad():
        torch.mm(torch.ones(64, 64), torch.ones(64, 64))
