"""The ceilings of this machine: what a loop on registers or a pass over memory reaches."""

from __future__ import annotations

import math
from typing import Any

from .case import Work

# In the order they are shown: name, what it is, unit.
CEILINGS = (
    ("float32", "float32 multiply-add", "GF/s"),
    ("bfloat16", "bfloat16 products summed in float32", "GF/s"),
    ("int8", "int8 dot products", "Gop/s"),
    ("copy", "memory copy, plain stores (read + write)", "GB/s"),
    ("stream", "memory copy, streaming stores (read + write)", "GB/s"),
    ("read", "memory read", "GB/s"),
)


def measure(milliseconds: float = 100.0, repeats: int = 3) -> dict[str, float]:
    """Operations or bytes a second of each of CEILINGS, by all threads; 0 where there is none.

    The best of `repeats`, which are seconds apart: a neighbor on the machine lowers a ceiling.
    """
    best = dict.fromkeys([name for name, _, _ in CEILINGS], 0.0)
    for _ in range(repeats):
        best = {name: max(rate, _measure_once(name, milliseconds)) for name, rate in best.items()}
    return best


# TFLOP/s of data sheets, dense, by a word of the GPU's name: float32, 16 bits summed in float32.
DATA_SHEETS = {"A100": (19.5, 312.0), "H100": (66.9, 989.4), "H200": (66.9, 989.4)}
COPIED_BYTES = 1 << 30


def measure_device(milliseconds: float = 100.0, repeats: int = 3) -> dict[str, float]:
    """As `measure`, for the GPU of this process: products by its data sheet, infinite where it is
    not known here, and copies as CuPy makes them."""
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
    sheet = next((rates for word, rates in DATA_SHEETS.items() if word in name), None)
    single, half = (1e12 * rate for rate in sheet or (math.inf, math.inf))
    source = cupy.zeros(COPIED_BYTES // 4, cupy.float32)
    target = cupy.empty_like(source)
    copy = max(2 * COPIED_BYTES / _seconds_of_copy(cupy, target, source) for _ in range(repeats))
    found = {"float32": single, "bfloat16": half, "int8": 0.0}
    return found | dict.fromkeys(("copy", "stream", "read"), copy)


def _seconds_of_copy(cupy: Any, target: Any, source: Any) -> float:
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    begin.record()
    for _ in range(4):
        cupy.copyto(target, source)
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(begin, end) / 4000


def _measure_once(name: str, milliseconds: float) -> float:
    from .. import runtime  # this module is also read where nothing is compiled

    if name in ("copy", "stream", "read"):
        return runtime.measure_bandwidth(name, 2 * milliseconds)
    return runtime.measure_peak(name, milliseconds, again=True)


def least_seconds(work: Work, dtype: str, ceilings: dict[str, float]) -> float:
    """How long `work` takes at the ceiling: its arithmetic or its memory traffic, the longer one.

    Traffic that writes is held against the better of the two copies. Arrays that fit in the cache
    can be faster than memory: such a row may show more than 100 %.
    """
    arithmetic = work.flop / max(ceilings["float32"], ceilings[dtype])
    bandwidth = max(ceilings["copy"], ceilings["stream"]) if work.write else ceilings["read"]
    return max(arithmetic, (work.read + work.write) / bandwidth)


def rate(work: Work, seconds: float) -> tuple[float, str]:
    """What a time means: GF/s where there is arithmetic to count, else GB/s."""
    if work.flop:
        return work.flop / seconds / 1e9, "GF/s"
    return (work.read + work.write) / seconds / 1e9, "GB/s"


def lines(ceilings: dict[str, float]) -> list[str]:
    """A line for each ceiling."""
    return [
        f"{name:<9}{ceilings[name] / 1e9:9.1f} {unit:<6} {what}" for name, what, unit in CEILINGS
    ]
