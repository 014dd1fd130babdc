"""Speed of a run: tokens a second, model FLOP utilization, time to go, memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import kernels, runtime
from ..kernels._devices import CPU
from ..kernels.devices import device_of, kept_bytes, peak_flops
from ..nn import count_parameters


@dataclass(frozen=True)
class Speed:
    """What the updates since the last record cost.

    seconds : of updates alone, without evaluations and checkpoints
    tokens_per_second : input tokens
    mfu : model FLOP a second over the peak of the device, 0 to 1: measured on a CPU, NVIDIA's
        figure for dense products on a GPU that is known, None on another
    seconds_left : until the last update, at this speed
    """

    seconds: float
    tokens_per_second: float
    mfu: float | None
    seconds_left: float
    peak_bytes: int | None = None

    def record(self) -> dict[str, Any]:
        """The values for timing.jsonl, with the peak memory."""
        return {
            "seconds": round(self.seconds, 6),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "mfu": None if self.mfu is None else round(self.mfu, 4),
            "peak_bytes": self.peak_bytes,
        }


class Stopwatch:
    """Adds up the time, tokens and FLOP of updates, from one record to the next."""

    def __init__(self, model: Any, dtype: str):
        self.model = model
        self._flops: dict[tuple[int, ...], float] = {}  # by sequence length, () for none
        first = next((p.data for _, p in model.named_parameters()), None)
        self._like = first
        self.peak = runtime.measure_peak(dtype) if _is_host(first) else peak_flops(first, dtype)
        self.reset()

    def reset(self) -> None:
        """Start the next window."""
        self.seconds, self.tokens, self.flops, self.updates = 0.0, 0, 0.0, 0

    def _peak_bytes(self) -> int:
        if _is_host(self._like):
            return runtime.memory_stats()["peak_bytes"]
        return kept_bytes(self._like)

    @contextmanager
    def update(self) -> Iterator[None]:
        """Times one update."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start
        self.updates += 1

    def count(self, batch: dict[str, Any], tokens: int) -> None:
        """Note the work of one batch."""
        self.tokens += tokens
        self.flops += tokens * self.flops_per_token(batch)

    def flops_per_token(self, batch: dict[str, Any]) -> float:
        """FLOP of forward and backward a token: the model's own count, or 6 a parameter.

        Kaplan et al., "Scaling Laws for Neural Language Models", 2020, arXiv:2001.08361.
        """
        length = _sequence_length(batch)
        if length not in self._flops:
            own = getattr(self.model, "flops_per_token", None)
            parameters = count_parameters(self.model)[1]
            self._flops[length] = float(own(*length)) if own and length else 6.0 * parameters
        return self._flops[length]

    def take(self, updates_left: int) -> Speed:
        """The speed of this window; starts the next."""
        seconds = max(self.seconds, 1e-9)
        speed = Speed(
            seconds=self.seconds,
            tokens_per_second=self.tokens / seconds,
            mfu=None if self.peak is None else self.flops / seconds / self.peak,
            seconds_left=updates_left * seconds / max(1, self.updates),
            peak_bytes=self._peak_bytes(),
        )
        self.reset()
        return speed


def _is_host(array: Any) -> bool:
    return array is None or device_of(array) == CPU


def _sequence_length(batch: dict[str, Any]) -> tuple[int, ...]:
    """(tokens of a sequence,), on average where documents are packed; () without input ids."""
    length = kernels.array_of(batch.get("input_ids", 0)).shape[-1:]
    if length and batch.get("cu_seqlens") is not None:
        return (length[0] // max(1, len(batch["cu_seqlens"]) - 1),)
    return length
