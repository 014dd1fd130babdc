"""How much time is left, where there is a limit."""

from __future__ import annotations

import time

from ..training import TimeLimitCallback, TrainerCallback


class Clock:
    """What is left of `max_seconds`; None is no limit."""

    def __init__(self, max_seconds: float | None):
        self._end = None if max_seconds is None else time.monotonic() + max_seconds

    def left(self) -> float | None:
        """Seconds, 0 once they are over; None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.left() == 0.0

    def limits(self, share: float) -> list[TrainerCallback]:
        """Callbacks that end a training within this share of what is left."""
        left = self.left()
        return [] if left is None else [TimeLimitCallback(share * left)]
