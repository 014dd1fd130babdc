"""Everyone held to one level of vector instructions, so that an AVX-512 machine measures AVX2 too.

Libraries choose their code when they are loaded, so the environment of their process says what they
may use. Each peer then says what it uses (`peers/instructions.py`), library by library in the words
of ORDER: one that uses more than the level, or does not know, is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError, shown

# What each level has beyond the one before it; a library may use any at or below the one asked for.
ORDER = ("generic", "avx2", "avx512", "avx512bf16", "amx")
# For each level: of ATen, oneDNN, MKL, OpenBLAS, CTranslate2 and BLIS.
_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE",
    "CT2_FORCE_CPU_ISA",
    "BLIS_ARCH_TYPE",
)
_WORDS = {
    "generic": ("default", "SSE41", "SSE4_2", "Nehalem", "GENERIC", "generic"),
    "avx2": ("avx2", "AVX2", "AVX2", "Haswell", "AVX2", "haswell"),
    "avx512": ("avx512", "AVX512_CORE_VNNI", "AVX512_E1", "SkylakeX", "AVX512", "skx"),
    "avx512bf16": ("avx512", "AVX512_CORE_BF16", "AVX512_E3", "SkylakeX", "AVX512", "skx"),
    "amx": ("avx512", "AVX512_CORE_AMX", "AVX512_E4", "SapphireRapids", "AVX512", "skx"),
}
# NumPy's own loops, by the names of version 2.4 and of those before it.
_AVX512_OF_NUMPY = (
    "X86_V4 AVX512_SPR AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL"
    " AVX512_ICL"
)
_WITHOUT_OF_NUMPY = {
    "generic": f"{_AVX512_OF_NUMPY} X86_V3 AVX2 FMA3",
    "avx2": _AVX512_OF_NUMPY,
}


def environment(level: str | None) -> dict[str, str]:
    """The variables that hold ours and the peers to `level`; none for None.

    A level of another processor family than those of ORDER holds ours alone.
    """
    if level is None:
        return {}
    words = dict(zip(_VARIABLES, _WORDS[level])) if level in _WORDS else {}
    if level in _WITHOUT_OF_NUMPY:
        words["NPY_DISABLE_CPU_FEATURES"] = _WITHOUT_OF_NUMPY[level]
    return {"PLAINFORMER_CPU_ISA": level, **words}


def check(level: str | None) -> None:
    """Raise ConfigError unless this processor runs our code of `level` (or it is None)."""
    here = available()
    if level is not None and level not in here:
        raise ConfigError(f"level: got {shown(level)}, expected one of {', '.join(here)}")


def available() -> list[str]:
    """Our levels on this processor, the best one last."""
    from .. import runtime  # this module is also read where nothing is compiled

    return runtime.available_levels()


def current() -> str:
    """The level that our code of this process runs at."""
    from .. import runtime  # as above

    return runtime.current_level()


def objection(description: Mapping[str, Any], level: str | None) -> str | None:
    """Why the peer that says this of itself is not one of `level`; None where it is.

    At the best level of the processor nobody can use more, whether they know it or not.
    """
    if level is None or level == available()[-1]:
        return None
    used = description.get("instructions") or {"it": None}
    for library, own in used.items():
        if own not in ORDER or level not in ORDER:
            return f"held to {level}: {library} cannot be held, or does not say what it uses"
        if ORDER.index(own) > ORDER.index(level):
            return f"held to {level}: {library} uses {own} all the same"
    return None
