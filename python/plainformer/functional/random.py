"""Where dropout gets its randomness: a seed, and one offset a use.

Kernels hold no random state; they derive a mask from (seed, offset, position). A training loop
wraps each micro step in `dropout_state(seed, offset)`, so that its masks follow from the step alone
and a resumed run, or a recomputed block, draws the same ones.
"""

from __future__ import annotations

import threading
from typing import Any

from .. import kernels
from ..modes import Block, Mode


class _Draws:
    """A seed and the next offset."""

    def __init__(self, seed: int, offset: int):
        self.seed, self.offset = seed, offset


class _Outside(threading.local):
    """Where each thread draws from outside `dropout_state`: from (0, 0) on."""

    def __init__(self) -> None:
        self.draws = _Draws(0, 0)


_outside = _Outside()
_draws: Mode[_Draws | None] = Mode("draws", None)


def _current() -> _Draws:
    return _draws.get() or _outside.draws


def current() -> tuple[int, int]:
    """The seed, and the offset that the next use will take."""
    draws = _current()
    return draws.seed, draws.offset


def take() -> tuple[int, int]:
    """Seed and offset for one use of dropout; the next use gets the next offset."""
    draws = _current()
    draws.offset += 1
    return draws.seed, draws.offset - 1


def next_mask(dropout_p: float) -> dict[str, Any]:
    """What a kernel that drops on its way is told; nothing where nothing is dropped."""
    if not dropout_p:
        return {}
    seed, offset = take()
    return {"dropout_p": dropout_p, "seed": seed, "offset": offset}


def dropped(grad: Any, drop: dict[str, Any]) -> Any:
    """The gradient of what was dropped with `next_mask`, from that of the result."""
    if grad is None or not drop:
        return grad
    return kernels.dropout_backward(grad, *drop.values())


def dropout_state(seed: int, offset: int = 0) -> Block[_Draws | None]:
    """Draw masks from (seed, offset), (seed, offset + 1), ... inside; then go on as before."""
    return _draws.set(_Draws(seed, offset))
