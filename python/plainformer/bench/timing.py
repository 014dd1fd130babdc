"""Samples of how long a call takes, and what is said about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

CLOCKS = {"wall": time.perf_counter_ns, "thread": time.thread_time_ns}
SHORTEST = 200e-6  # seconds a sample lasts at least: some thousand times the clock's own cost
FEWEST = 3  # samples a turn, unless one call is as long as the turn
LONG = 0.3  # seconds from which on a first call, cold as it is, is as good a sample as any


@dataclass(frozen=True)
class Summary:
    """Seconds a call: median, 20th and 80th percentile, of `count` samples."""

    median: float
    p20: float
    p80: float
    count: int


def summarize(samples: Sequence[float]) -> Summary:
    """Percentiles of samples in seconds."""
    p20, median, p80 = np.percentile(samples, [20, 50, 80])
    return Summary(float(median), float(p20), float(p80), len(samples))


def sample(
    call: Callable[[], object],
    seconds: float,
    clock: str = "wall",
    finish: Callable[[], object] | None = None,
) -> list[float]:
    """Seconds a call, again and again for about `seconds` (at least FEWEST samples).

    A call shorter than SHORTEST is repeated within a sample. The first call, which finds cold
    caches and sleeping threads, warms up and chooses the number of repeats; it does not count,
    unless it is LONG and longer than the turn: then it is the only one.
    `finish` waits for a device, to which calls are only handed: once a sample, so that a sample of
    many repeats shows what the device takes.
    """
    now = CLOCKS[clock]
    finish = finish or _nothing
    start = now()
    call()
    finish()
    first = (now() - start) / 1e9
    if first >= max(seconds, LONG):
        return [first]
    repeats = _repeats(call, finish)
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < FEWEST or time.perf_counter() < end:
        start = now()
        for _ in range(repeats):
            call()
        finish()
        samples.append((now() - start) / 1e9 / repeats)
    return samples


def _nothing() -> None:
    """The CPU is done when a call returns."""


def _repeats(call: Callable[[], object], finish: Callable[[], object]) -> int:
    """How many calls last SHORTEST, found by doubling; of a device's, ten times as long."""
    repeats, shortest = 1, SHORTEST if finish is _nothing else 10 * SHORTEST
    while True:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        finish()
        if time.perf_counter() - start >= shortest / 2:
            return repeats
        repeats *= 2


def wait_until_idle(longest: float = 1.0) -> bool:
    """Sleep until the threads of this process use no processor time; False if they never stop.

    Thread pools spin for a while after their last task; a peer that spins would slow the next.
    """
    end = time.perf_counter() + longest
    while time.perf_counter() < end:
        wall, busy = time.perf_counter(), time.process_time()
        time.sleep(0.005)
        if time.process_time() - busy < 0.1 * (time.perf_counter() - wall):
            return True
    return False
