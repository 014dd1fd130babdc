"""Where dropout gets its randomness: a seed, and one offset a use.

Kernels hold no random state; they derive a mask from (seed, offset, position). A training loop
wraps each micro step in `dropout_state(seed, offset)`, so that its masks follow from the step alone
and a resumed run, or a recomputed block, draws the same ones.
"""

from __future__ import annotations

import threading
from numbers import Real

from .. import functional
from ..errors import ConfigError, shown
from ..modes import Block, Mode
from ..tensor import Tensor
from .module import Module


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


def dropout_state(seed: int, offset: int = 0) -> Block[_Draws | None]:
    """Draw masks from (seed, offset), (seed, offset + 1), ... inside; then go on as before."""
    return _draws.set(_Draws(seed, offset))


class Dropout(Module):
    """Zero elements with probability p in training; in eval mode the identity."""

    p: float

    def __init__(self, p: float):
        self.set_probability(p)

    def set_probability(self, p: float) -> None:
        """Zero this share of elements from now on."""
        if not isinstance(p, Real) or not 0 <= p < 1:
            raise ConfigError(f"p: got {shown(p)}, expected a number of at least 0 and below 1")
        self.p = float(p)

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape to the same shape; takes one offset of the dropout state."""
        if not self.training or self.p == 0:
            return x
        return functional.dropout(x, self.p, *take())
