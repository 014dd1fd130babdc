"""What both sides of encoder.py and latency.py do: time calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from plainformer.bench.timing import wait_until_idle

__all__ = ["each_timed", "mean_pooled", "timed", "wait_until_idle"]
LEARNING_RATE = 2e-4
WEIGHT_DECAY = 0.01
MAX_NORM = 1.0


def mean_pooled(states: Any, batch: dict[str, Any]) -> Any:
    """States (B, T, C) averaged over the tokens that are there."""
    mask = np.array(batch["attention_mask"])[..., None]
    return (np.asarray(states, np.float32) * mask).sum(1) / mask.sum(1)


def timed(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """The median time of `call` over about so many seconds, at least 3 calls."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return {"median": statistics.median(times), "calls": len(times)}


def each_timed(call: Callable[[Any], Any], arguments: Iterable[Any]) -> list[float]:
    """Seconds of a call with each of these arguments."""
    times = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        times.append(time.perf_counter() - start)
    return times
