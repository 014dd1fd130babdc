"""Sizes that follow from the machine."""

from plainformer import _cpu


def beyond_cache(x):
    """How many copies of x fill more than half of the last cache: with what is made of them it is
    full, and kernels change how they store. At most 64 MB, enough for 128 MB of cache."""
    cache = _cpu.cpu_summary()["cache_bytes"][2] or 32 << 20
    return min(cache // 2, 64 << 20) // x.nbytes + 1
