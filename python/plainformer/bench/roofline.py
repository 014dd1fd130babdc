"""The ceilings of this machine: what a loop on registers or a pass over memory reaches."""

from __future__ import annotations

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
